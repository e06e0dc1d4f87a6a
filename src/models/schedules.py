"""Learning-rate schedules, which multiply the optimizer's rates after a warm-up."""

import math
from collections.abc import Callable
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from src.utils.errors import UserError


def optimizer_steps(trainer: Trainer) -> int:
    """Return the number of optimizer steps of a training, which is the length of a schedule.

    Lightning's estimate assumes that the number of accumulated batches is the same in all epochs.
    """
    steps = trainer.estimated_stepping_batches
    if steps == math.inf:
        raise UserError(
            "trainer.max_epochs: -1 given, but a schedule needs an end; give a number of epochs, or trainer.max_steps"
        )
    accumulations = _accumulations(trainer)
    epochs = trainer.max_epochs or 0
    if not accumulations or epochs < 1:
        return int(steps)
    if trainer.accumulate_grad_batches != 1:
        raise UserError(
            f"trainer.accumulate_grad_batches: {trainer.accumulate_grad_batches} given together with "
            "callbacks.gradient_accumulation; give one of them"
        )
    sizes = [accumulations[0].get_accumulate_grad_batches(epoch) for epoch in range(epochs)]
    total = sum(math.ceil(trainer.num_training_batches / size) for size in sizes)
    return total if trainer.max_steps == -1 else min(total, trainer.max_steps)


def accumulates_by_epoch(trainer: Trainer) -> bool:
    """Return whether a callback changes the number of batches in a step."""
    return any(callback.going_to_accumulate_grad_batches() for callback in _accumulations(trainer))


def _accumulations(trainer: Trainer) -> list[GradientAccumulationScheduler]:
    return [callback for callback in trainer.callbacks if isinstance(callback, GradientAccumulationScheduler)]  # type: ignore[attr-defined]


def require_even_epochs(trainer: Trainer) -> None:
    """Raise UserError if epochs have different numbers of steps, since a rate cannot be held for each epoch."""
    if accumulates_by_epoch(trainer):
        raise UserError(
            "model.scheduler.interval: epoch given together with callbacks.gradient_accumulation, which gives epochs "
            "different numbers of steps; give step"
        )


def constant(optimizer: Optimizer, total_steps: int, steps_per_epoch: int = 1, **options: Any) -> LambdaLR:
    """Keep the optimizer's rates after the warm-up."""
    return _schedule(optimizer, lambda progress: 1.0, total_steps, steps_per_epoch, **options)


def cosine(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int = 1, end: float = 0.0, **options: Any
) -> LambdaLR:
    """Follow half a cosine down to `end` times the rate after the last step (SGDR, arXiv 1608.03983, eq. 5)."""
    _require_fraction("end", end)
    return _schedule(optimizer, lambda progress: _cosine(progress, end), total_steps, steps_per_epoch, **options)


def cosine_restarts(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int = 1,
    cycles: int = 3,
    stretch: float = 2.0,
    end: float = 0.0,
    **options: Any,
) -> LambdaLR:
    """Follow half a cosine down `cycles` times, each `stretch` times as long as the last (SGDR, arXiv 1608.03983)."""
    _require_fraction("end", end)
    if cycles < 1 or stretch <= 0:
        raise UserError(f"model.scheduler: cycles {cycles}, stretch {stretch} given; give cycles >= 1 and stretch > 0")
    lengths = [stretch**cycle for cycle in range(cycles)]
    starts = [sum(lengths[:cycle]) / sum(lengths) for cycle in range(cycles)]

    def factor(progress: float) -> float:
        cycle = max(at for at, start in enumerate(starts) if progress >= start)
        return _cosine((progress - starts[cycle]) * sum(lengths) / lengths[cycle], end)

    return _schedule(optimizer, factor, total_steps, steps_per_epoch, **options)


def exponential(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int = 1, end: float = 0.01, **options: Any
) -> LambdaLR:
    """Multiply by the same factor in each step, down to `end` times the rate after the last step."""
    _require_fraction("end", end)
    if end == 0:
        raise UserError("model.scheduler.end: 0 given, but an exponential never reaches 0; give a value above 0")
    return _schedule(optimizer, lambda progress: end**progress, total_steps, steps_per_epoch, **options)


def one_cycle(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int = 1,
    peak: float = 0.3,
    start: float = 0.04,
    end: float = 0.0001,
    **options: Any,
) -> LambdaLR:
    """Rise from `start` times the rate to the full rate at the fraction `peak` of the steps, then fall to `end`.

    The first step has the rate `start`, the last step `end`; both parts follow half a cosine, as in torch's OneCycleLR
    (Smith & Topin, arXiv 1708.07120).
    """
    _require_fraction("start", start)
    _require_fraction("end", end)
    if not 0 < peak < 1:
        raise UserError(f"model.scheduler.peak: {peak} given; give a fraction of the steps between 0 and 1")

    def factor(progress: float) -> float:
        if progress < peak:
            return start + (1.0 - start) * (1.0 - _cosine(progress / peak, 0.0))
        return _cosine((progress - peak) / (1.0 - peak), end)

    last = max(1, total_steps - 1)  # counted from 0: progress is 1 at the last step, not after it
    return _schedule(optimizer, factor, last, steps_per_epoch, **{"warmup_fraction": 0.0} | options)


def _cosine(progress: float, end: float) -> float:
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def _require_fraction(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"model.scheduler.{name}: {value} given; give a fraction of the rate between 0 and 1")


def _schedule(
    optimizer: Optimizer,
    factor: Callable[[float], float],
    total_steps: int,
    steps_per_epoch: int,
    warmup_fraction: float = 0.1,
    interval: str = "step",
) -> LambdaLR:
    """Warm up linearly over a fraction of the steps, then follow `factor` of the progress, 0..1, over the others.

    `interval: epoch` keeps the rate for a whole epoch; the schedule is stepped every batch in either case.
    """
    if interval not in ("step", "epoch"):
        raise UserError(f"model.scheduler.interval: '{interval}' given; give step or epoch")
    warmup = _warmup_steps(warmup_fraction, total_steps)

    def at(step: int) -> float:
        held = 1
        if interval == "epoch":
            held, step = steps_per_epoch, step - step % steps_per_epoch
        if step < warmup:
            return min(1.0, (step + held) / warmup)
        return factor(min(1.0, (step - warmup) / max(1, total_steps - warmup)))

    return LambdaLR(optimizer, at)


def _warmup_steps(fraction: float, total_steps: int) -> int:
    if not 0 <= fraction < 1:
        raise UserError(f"model.scheduler.warmup_fraction: {fraction} given; give a fraction of all steps below 1")
    return max(1, round(fraction * total_steps)) if fraction else 0


class Plateau(LambdaLR):
    """Multiply the rates by `factor` whenever the metric `monitor` has not improved for `patience` epochs.

    It is stepped every batch for its warm-up; `observe` gets the metric, which is better if lower, after each
    validation. A relative improvement below `threshold` does not count, as in torch's ReduceLROnPlateau.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        steps_per_epoch: int = 1,
        monitor: str = "val/nmae",
        factor: float = 0.5,
        patience: int = 5,
        threshold: float = 1e-4,
        least: float = 0.001,
        warmup_fraction: float = 0.1,
    ):
        if not 0 < factor < 1 or patience < 0:
            raise UserError(
                f"model.scheduler: factor {factor}, patience {patience} given; give 0 < factor < 1 and patience >= 0"
            )
        self.monitor = monitor
        self.factor, self.patience, self.threshold, self.least = factor, patience, threshold, least
        self.warmup = max(1, _warmup_steps(warmup_fraction, total_steps))
        self.best, self.bad_epochs, self.scale = math.inf, 0, 1.0
        super().__init__(optimizer, lambda step: min(1.0, (step + 1) / self.warmup) * self.scale)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state, but keep the options given here; a completed warm-up is unchanged.

        The best value of another metric is dropped. States of older versions followed val/nmae.
        """
        names = ["monitor", "factor", "patience", "threshold", "least"]
        if state_dict["last_epoch"] < state_dict.get("warmup", math.inf):
            names.append("warmup")
        given = {name: getattr(self, name) for name in names}
        if state_dict.get("monitor", "val/nmae") != self.monitor:
            given |= {"best": math.inf, "bad_epochs": 0}
        super().load_state_dict({**state_dict, **given})

    def observe(self, metric: float) -> None:
        """Count epochs without improvement, and lower the rates after too many."""
        if metric < self.best * (1.0 - self.threshold):
            self.best, self.bad_epochs = metric, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs > self.patience:
            self.scale, self.bad_epochs = max(self.least, self.scale * self.factor), 0
