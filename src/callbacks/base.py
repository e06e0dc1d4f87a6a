"""The base class of callbacks that act on a schedule, check their requirements and do not end a run if they fail."""

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
_FAULTS = (  # the exceptions of faulty code
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError),
    *(OSError, RuntimeError, TypeError, ValueError),
)
_COUNTS = ("_count", "_last_step")
_COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_CONDITION = re.compile(r"\s*(\S+?)\s*(<=|>=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


class ScheduledCallback(Callback):
    """Calls `act` after every `every`-th optimizer step, training epoch or validation, while `when` is true.

    `when` compares a logged metric with a number, as in "val/nmae < 0.1". A subclass may define any of Lightning's
    hooks in addition to `act`. It declares its `order` (lower acts earlier; other callbacks have 0, checkpoints come
    last), the callbacks that it `needs`, whether it needs a logger, whether it runs on rank zero only, and in `state`
    the attributes (tensors, plain values) that a resumed run restores. An exception in it is logged once as a warning,
    unless `on_error` is raise or other processes may wait for this process; a UserError is always raised.
    """

    order: ClassVar[int] = 0
    needs: ClassVar[Sequence[type[Callback]]] = ()
    needs_logger: ClassVar[bool] = False
    rank_zero: ClassVar[bool] = False  # if true, it must not wait for other processes
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
                raise UserError(
                    f"{type(self).__name__}.{option}: {getattr(self, option)!r} given; it must be {allowed}"
                )

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        for name, hook in list(vars(cls).items()):
            if name == "act" or name.startswith("on_"):
                setattr(cls, name, _without_ending(hook))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Sort all callbacks by their order; raise UserError if a callback or logger that this needs is missing."""
        name = type(self).__name__
        for needed in self.needs:
            if not any(isinstance(callback, needed) for callback in trainer.callbacks):  # type: ignore[attr-defined]
                raise UserError(f"callbacks: {name} needs a {needed.__name__}, which is missing; add it")
        if self.needs_logger and not trainer.loggers:
            raise UserError(f"logger: {name} needs a logger, which is missing; give one, as in logger=tensorboard")
        metric, metrics = self._condition and self._condition[1], getattr(pl_module, "monitorable", ())
        if metric and metrics and metric not in metrics:
            raise UserError(f"{name}.when: no metric '{metric}'.{did_you_mean(metric, metrics)}")
        # a new list, since Lightning is iterating over the old one
        trainer.callbacks = sorted(trainer.callbacks, key=_place)  # type: ignore[attr-defined]

    def act(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do the callback's work; the metric of `when` is its last logged value."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step != self._last_step:  # otherwise gradients are being accumulated
            self._occasion("step", trainer, pl_module)
        self._last_step = trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._occasion("epoch", trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # its metrics are complete here
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
        return self._generate_state_key(after=self.after, when=self.when)  # there may be several of one class

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*_COUNTS, *self.state)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in (*_COUNTS, *self.state):
            setattr(self, name, state_dict[name])


def _place(callback: Callback) -> tuple[bool, int]:
    return isinstance(callback, Checkpoint), getattr(callback, "order", 0)


def _without_ending(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a hook so that an exception in it does not end the run."""

    @functools.wraps(hook)
    def wrapped(self: ScheduledCallback, trainer: Trainer, *rest: Any, **named: Any) -> Any:
        if self.rank_zero and not trainer.is_global_zero:
            return None
        try:
            return hook(self, trainer, *rest, **named)
        except UserError:
            raise
        except _FAULTS as error:  # hours of training are worth more than a callback
            if self.on_error == "raise" or (trainer.world_size > 1 and not self.rank_zero):
                raise  # other processes may wait for this process
            if not self._warned:
                self._warned = True
                name, cause = type(self).__name__, f"{type(error).__name__}: {one_line(error)}"
                log.warning("%s failed and the run continues: %s (on_error: raise would end it)", name, cause)

    return wrapped
