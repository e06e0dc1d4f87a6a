"""The LightningModule: backbone -> features -> heads, built from the dataset's spec, once."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn
from torchmetrics import MeanMetric

from src.data.spec import DatasetSpec
from src.data.vimh_dataset import Batch
from src.models.head_metrics import HeadMetrics
from src.models.heads import MultiHead, head_configs
from src.utils.errors import UserError

AUXILIARY_INPUTS = 2  # the dB range of an image: what per-sample scaling takes out of it


class VIMHLitModule(LightningModule):
    """A backbone and its heads.

    `network` is called with `in_channels` and `image_size` (H, W) and gives a module with
    `feature_dim`; `optimizer` with parameters; `scheduler` with the optimizer and `total_steps`, and
    is stepped every batch. With `auxiliary` the image's dB range joins the features. `config` is the
    plain dict that this module was built from: it goes into every checkpoint, beside `spec`.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        network: Callable[..., nn.Module],
        heads: Mapping[str, Any] | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler] | None = None,
        auxiliary: bool = False,
        config: Mapping[str, Any] | None = None,
    ):
        super().__init__()
        channels, height, width = spec.image_shape
        self.spec = spec
        self.config = config
        self.network = network(in_channels=channels, image_size=(height, width))
        feature_dim = self.network.feature_dim + (AUXILIARY_INPUTS if auxiliary else 0)
        self.auxiliary = auxiliary
        self.heads = MultiHead(feature_dim, spec.space, head_configs(spec.space, heads or {}))
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self.train_loss = MeanMetric()
        self.val_metrics = HeadMetrics(spec.space)
        self.test_metrics = HeadMetrics(spec.space)
        self._resumed_rng: Tensor | None = None

    def forward(self, image: Tensor, scale: Tensor | None = None) -> dict[str, Tensor]:
        """Map images (B, C, H, W) in [0, 1], and dB ranges (B, 2), to raw outputs, name -> (B, K)."""
        features = self.network(image)
        if self.auxiliary:
            if scale is None:
                raise ValueError("this model was trained with auxiliary inputs: pass scale (B, 2) in dB")
            features = torch.cat([features, (scale + 40.0) / 40.0], dim=1)  # -80..0 dB to -1..1
        return self.heads(features)

    @property
    def monitorable(self) -> list[str]:
        """Names of the metrics that a training run logs and may select on."""
        return ["train/loss", "val/loss", *(f"val/{name}" for name in self.val_metrics.names)]

    def values(self, image: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return predictions (B, P) in physical units."""
        return self.heads.values(self(image, scale))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = self.heads.losses(self(batch["image"], batch["scale"]), batch["target"])
        loss = losses @ self.heads.weights
        self.train_loss.update(loss.detach(), len(batch["target"]))
        return loss

    def on_train_epoch_end(self) -> None:
        self.log_dict({"train/loss": self.train_loss.compute()})
        self.train_loss.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure(self.val_metrics, batch)

    def on_validation_epoch_end(self) -> None:
        self._report("val", self.val_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._measure(self.test_metrics, batch)

    def on_test_epoch_end(self) -> None:
        self._report("test", self.test_metrics)

    def _measure(self, metrics: HeadMetrics, batch: Batch) -> None:
        outputs = self(batch["image"], batch["scale"])
        losses = self.heads.losses(outputs, batch["target"])
        metrics.update(self.heads.values(outputs), self.heads.levels(outputs), batch["target"], losses)

    def _report(self, stage: str, metrics: HeadMetrics) -> None:
        results = metrics.compute()
        losses = torch.stack([results[f"{name}_loss"] for name in self.spec.space.names])
        results["loss"] = losses @ self.heads.weights
        self.log_dict({f"{stage}/{name}": value for name, value in results.items()}, sync_dist=False)
        metrics.reset()

    def configure_optimizers(self) -> Any:
        steps = int(self.trainer.estimated_stepping_batches)
        try:
            optimizer = self._make_optimizer(self.parameters())
            scheduler = self._make_scheduler(optimizer, total_steps=steps) if self._make_scheduler else None
        except (TypeError, ValueError) as error:
            raise UserError(f"model.optimizer or model.scheduler: {error}; see configs/model/base.yaml") from error
        if scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        if self._resumed_rng is not None:
            torch.set_rng_state(self._resumed_rng)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._resumed_rng = checkpoint["rng_state"].cpu()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["rng_state"] = torch.get_rng_state()  # dropout of a resumed run then goes on where it was
        checkpoint["model_config"] = self.config
        checkpoint["dataset_spec"] = self.spec.to_dict()
        checkpoint["data_settings"] = dict(self.trainer.datamodule.settings)
