"""Memory and load of the device that a run trains on."""

from importlib.util import find_spec

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import DeviceStatsMonitor

from src.utils.errors import UserError


class DeviceStats(DeviceStatsMonitor):
    """Lightning's monitor, which needs psutil for a CPU; raises UserError before the first batch if it is missing."""

    def __init__(self, cpu_stats: bool | None = None):
        super().__init__(cpu_stats)
        self.cpu_stats = cpu_stats

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        of_cpu = trainer.strategy.root_device.type == "cpu" if self.cpu_stats is None else self.cpu_stats
        if of_cpu and find_spec("psutil") is None:
            raise UserError("callbacks.device_stats: psutil is not installed; install it with: uv pip install psutil")
        super().setup(trainer, pl_module, stage)
