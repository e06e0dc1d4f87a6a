"""A profile of a few training steps, operator by operator."""

import logging
from pathlib import Path

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.profiler import ProfilerActivity, profile, schedule

from src.utils.files import write_atomic

log = logging.getLogger(__name__)


class Trace(Callback):
    """Writes a trace of `steps` batches, after `skip` batches, and a table of the slowest operators, once in a run.

    The trace is `directory`/rank0.pt.trace.json, for https://ui.perfetto.dev or TensorBoard's profiler plugin; the
    table is rank0.txt. Lightning's PyTorchProfiler fails when its schedule ends, and in a test with few batches.
    """

    def __init__(self, directory: str | Path, skip: int = 2, steps: int = 4):
        self.directory = Path(directory)
        self.skip = skip
        self.steps = steps
        self._profile: profile | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        stem = self.directory / f"rank{trainer.global_rank}"
        plan = schedule(wait=max(0, self.skip - 1), warmup=min(1, self.skip), active=self.steps, repeat=1)
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if pl_module.device.type == "cuda" else [])]
        self._profile = profile(activities=kinds, schedule=plan, on_trace_ready=lambda done: _write(done, stem))
        self._profile.start()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        if self._profile is not None:
            self._profile.step()
            if self._profile.step_num >= self.skip + self.steps:
                self._stop()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._profile is not None and self._profile.step_num <= self.skip:
            log.warning("no trace: training ended in the first %d batches; lower callbacks.trace.skip", self.skip)
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._profile is not None:
            self._profile.stop()
            self._profile = None


def _write(done: profile, stem: Path) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    trace = stem.with_name(f"{stem.name}.pt.trace.json")
    partial = trace.with_name(f".{trace.name}.partial")
    done.export_chrome_trace(str(partial))
    partial.replace(trace)
    table = done.key_averages().table(sort_by="self_cpu_time_total", row_limit=30)
    write_atomic(stem.with_suffix(".txt"), table.encode())
    log.info("trace, for https://ui.perfetto.dev or TensorBoard's profiler plugin: %s", trace)
