"""Losses by name: `create_loss_function({"_target_": "focal", "gamma": 2})`."""

from src.models.losses.base import Loss
from src.models.losses.boxes.overlap import BoxIoULoss, CIoULoss, DIoULoss, GIoULoss
from src.models.losses.combine.weighted_multi import WeightedMultiLoss
from src.models.losses.factory import create_loss_function, named_paths
from src.models.losses.fit import losses_taking, require_usable
from src.models.losses.levels.cross_entropy import CrossEntropyLoss, WeightedCrossEntropyLoss
from src.models.losses.levels.cumulative_logits import CoralLoss, CornLoss
from src.models.losses.levels.focal import FocalLoss
from src.models.losses.levels.ordinal import NormalizedRegressionLoss, OrdinalRegressionLoss, QuantizedRegressionLoss
from src.models.losses.levels.overlap import DiceCrossEntropyLoss, DiceLoss, SoftIoULoss, TverskyLoss
from src.models.losses.levels.soft_target import SoftTargetLoss
from src.models.losses.locate import is_loss_name, loss_names
from src.models.losses.module_loss import ModuleLoss
from src.models.losses.sound.auraloss_wrapper import AuralossLoss
from src.models.losses.sound.cumulative import CumulativeSpectralLoss, SpectralOptimalTransportLoss
from src.models.losses.sound.envelope import EnvelopeLoss
from src.models.losses.sound.f0_centroid import F0CentroidLoss
from src.models.losses.sound.mel import MelSpectralLoss
from src.models.losses.sound.multi_scale import MultiScaleSpectralLoss
from src.models.losses.sound.pre_emphasis import PreEmphasisLoss
from src.models.losses.sound.stft import LogSTFTLoss, MultiResolutionSTFTLoss, SpectralConvergenceLoss
from src.models.losses.sound.time_domain import DCLoss, ESRLoss, SISDRLoss
from src.models.losses.values.crps import CRPSLoss, GaussianCRPSLoss
from src.models.losses.values.distance import DistanceLoss, HuberLoss, LogCoshLoss
from src.models.losses.values.evidential import EvidentialClassificationLoss, EvidentialRegressionLoss
from src.models.losses.values.likelihood import GaussianNLLLoss, MixtureNLLLoss

__all__ = [
    "AuralossLoss",
    "BoxIoULoss",
    "CIoULoss",
    "CRPSLoss",
    "CoralLoss",
    "CornLoss",
    "CrossEntropyLoss",
    "CumulativeSpectralLoss",
    "DCLoss",
    "DIoULoss",
    "DiceCrossEntropyLoss",
    "DiceLoss",
    "DistanceLoss",
    "ESRLoss",
    "EnvelopeLoss",
    "EvidentialClassificationLoss",
    "EvidentialRegressionLoss",
    "F0CentroidLoss",
    "FocalLoss",
    "GIoULoss",
    "GaussianCRPSLoss",
    "GaussianNLLLoss",
    "HuberLoss",
    "LogCoshLoss",
    "LogSTFTLoss",
    "Loss",
    "MelSpectralLoss",
    "MixtureNLLLoss",
    "ModuleLoss",
    "MultiResolutionSTFTLoss",
    "MultiScaleSpectralLoss",
    "NormalizedRegressionLoss",
    "OrdinalRegressionLoss",
    "PreEmphasisLoss",
    "QuantizedRegressionLoss",
    "SISDRLoss",
    "SoftIoULoss",
    "SoftTargetLoss",
    "SpectralConvergenceLoss",
    "SpectralOptimalTransportLoss",
    "TverskyLoss",
    "WeightedCrossEntropyLoss",
    "WeightedMultiLoss",
    "create_loss_function",
    "is_loss_name",
    "loss_names",
    "losses_taking",
    "named_paths",
    "require_usable",
]
