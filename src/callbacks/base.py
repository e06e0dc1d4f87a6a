"""What our own callbacks share: when they act, what must be there, and that a failing one does not end a run."""

import functools
import logging
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint

from src.utils.errors import UserError, did_you_mean, one_line

log = logging.getLogger(__name__)

_OCCASIONS = ("step", "epoch", "validation")
_FAULTS = (  # what code raises that is wrong, or meets what it did not expect
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(OSError, RuntimeError, TypeError, ValueError),
)
_COUNTS = ("_count", "_last_step")
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CONDITION = re.compile(r"\s*(\S+?)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


class ScheduledCallback(Callback):
    """Calls `act` after every `every`-th optimizer step, training epoch or validation, while `when` holds.

    `when` compares a logged metric with a number, as in "val/nmae < 0.1". A subclass may have any of Lightning's
    hooks beside `act`. It declares the `order` it acts in (lower is earlier; other callbacks have 0, checkpoints
    come last), the callbacks it `needs`, whether it needs a logger and whether it is for rank zero only, and in
    `state` the attributes (tensors, plain values) that a resumed run goes on with. What fails in it is warned of
    once, unless `on_error` is raise, or other processes may wait for this one; a UserError passes.
    """

    order: ClassVar[int] = 0
    needs: ClassVar[Sequence[type[Callback]]] = ()
    needs_logger: ClassVar[bool] = False
    rank_zero: ClassVar[bool] = False  # it must not wait for other processes then
    state: ClassVar[Sequence[str]] = ()

    def __init__(self, every: int = 1, after: str = "epoch", when: str | None = None, on_error: str = "warn"):
        self.every, self.after, self.when, self.on_error = every, after, when, on_error
        self._condition = _CONDITION.fullmatch(when or "")
        self._count = self._last_step = 0  # occasions so far, optimizer steps at the last batch
        self._warned = False
        for option, valid, allowed in (
            ("every", isinstance(every, int) and every >= 1, "a whole number, at least 1"),
            ("after", after in _OCCASIONS, f"one of {', '.join(_OCCASIONS)}"),
            ("when", not when or self._condition, 'like "val/nmae < 0.1"'),
            ("on_error", on_error in ("warn", "raise"), "warn or raise"),
        ):
            if not valid:
                raise UserError(f"{type(self).__name__}.{option}: {getattr(self, option)!r} given; {allowed}")

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        for name, hook in list(vars(cls).items()):
            if name == "act" or name.startswith("on_"):
                setattr(cls, name, _spared(hook))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """UserError when what this callback needs is not there; puts all callbacks in their order."""
        name = type(self).__name__
        for needed in self.needs:
            if not any(isinstance(one, needed) for one in trainer.callbacks):
                raise UserError(f"callbacks: {name} needs a {needed.__name__}, which is not there; add one")
        if self.needs_logger and not trainer.loggers:
            raise UserError(f"logger: {name} needs one and there is none; give one, as in logger=tensorboard")
        metric, known = self._condition and self._condition[1], getattr(pl_module, "monitorable", ())
        if metric and known and metric not in known:
            raise UserError(f"{name}.when: no metric '{metric}'.{did_you_mean(metric, known)}")
        # a new list, since Lightning is going through the old one
        place = {one: (isinstance(one, Checkpoint), getattr(one, "order", 0)) for one in trainer.callbacks}
        trainer.callbacks = sorted(trainer.callbacks, key=place.get)

    def act(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do what this callback is for; a metric that `when` names has its last logged value."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step != self._last_step:  # else gradients accumulate
            self._occasion("step", trainer, pl_module)
        self._last_step = trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._occasion("epoch", trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # its metrics are there now
        if not trainer.sanity_checking:
            self._occasion("validation", trainer, pl_module)

    def _occasion(self, kind: str, trainer: Trainer, pl_module: LightningModule) -> None:
        self._count += kind == self.after
        if kind == self.after and self._count % self.every == 0 and self._holds(trainer):
            self.act(trainer, pl_module)

    def _holds(self, trainer: Trainer) -> bool:
        if self._condition is None:
            return True
        metrics, (metric, comparison, bound) = trainer.callback_metrics, self._condition.groups()
        return metric in metrics and _COMPARISONS[comparison](float(metrics[metric]), float(bound))

    @property
    def state_key(self) -> str:
        return self._generate_state_key(after=self.after, when=self.when)  # one class may be there more than once

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*_COUNTS, *self.state)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in (*_COUNTS, *self.state):
            setattr(self, name, state_dict[name])


def _spared(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Let a hook fail without ending the run."""

    @functools.wraps(hook)
    def wrapped(self: ScheduledCallback, trainer: Trainer, *rest: Any, **named: Any) -> Any:
        if self.rank_zero and not trainer.is_global_zero:
            return None
        try:
            return hook(self, trainer, *rest, **named)
        except UserError:
            raise
        except _FAULTS as error:  # hours of training are worth more than what only watches it
            if self.on_error == "raise" or (trainer.world_size > 1 and not self.rank_zero):
                raise  # of several processes the others may wait for this one
            if not self._warned:
                self._warned = True
                cause = f"{type(error).__name__}: {one_line(error)}"
                log.warning("%s failed, the run goes on: %s (on_error: raise ends it)", type(self).__name__, cause)

    return wrapped
