"""Losses by name: `create_loss_function({"_target_": "focal", "gamma": 2})`."""

from src.models.losses.auraloss_wrapper import AuralossLoss
from src.models.losses.base import Loss
from src.models.losses.cross_entropy import CrossEntropyLoss, WeightedCrossEntropyLoss
from src.models.losses.crps import CRPSLoss, GaussianCRPSLoss
from src.models.losses.cumulative import CumulativeSpectralLoss, SpectralOptimalTransportLoss
from src.models.losses.cumulative_logits import CoralLoss, CornLoss
from src.models.losses.distance import DistanceLoss, HuberLoss, LogCoshLoss
from src.models.losses.envelope import EnvelopeLoss
from src.models.losses.evidential import EvidentialClassificationLoss, EvidentialRegressionLoss
from src.models.losses.f0_centroid import F0CentroidLoss
from src.models.losses.factory import create_loss_function, named_paths
from src.models.losses.fit import losses_taking, require_usable
from src.models.losses.focal import FocalLoss
from src.models.losses.likelihood import GaussianNLLLoss, MixtureNLLLoss
from src.models.losses.locate import is_loss_name, loss_names
from src.models.losses.mel import MelSpectralLoss
from src.models.losses.module_loss import ModuleLoss
from src.models.losses.multi_scale import MultiScaleSpectralLoss
from src.models.losses.ordinal import NormalizedRegressionLoss, OrdinalRegressionLoss, QuantizedRegressionLoss
from src.models.losses.overlap import DiceCrossEntropyLoss, DiceLoss, SoftIoULoss, TverskyLoss
from src.models.losses.pre_emphasis import PreEmphasisLoss
from src.models.losses.soft_target import SoftTargetLoss
from src.models.losses.stft import LogSTFTLoss, MultiResolutionSTFTLoss, SpectralConvergenceLoss
from src.models.losses.time_domain import DCLoss, ESRLoss, SISDRLoss
from src.models.losses.weighted_multi import WeightedMultiLoss

__all__ = [
    "AuralossLoss",
    "CRPSLoss",
    "CoralLoss",
    "CornLoss",
    "CrossEntropyLoss",
    "CumulativeSpectralLoss",
    "DCLoss",
    "DiceCrossEntropyLoss",
    "DiceLoss",
    "DistanceLoss",
    "ESRLoss",
    "EnvelopeLoss",
    "EvidentialClassificationLoss",
    "EvidentialRegressionLoss",
    "F0CentroidLoss",
    "FocalLoss",
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
