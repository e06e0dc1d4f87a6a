"""The classes that any checkpoint may name, by role: exact paths of classes that neither load nor call anything.

A class is listed only if no argument can make it read a file, access a network, or import or call what a file names.
"""

from src.models import losses

_NETWORKS = (
    "ast.AudioSpectrogramTransformer",
    "convnext_v2.ConvNeXtV2",
    "frame_mlp.FrameMLP",
    "hybrid.HybridBackbone",
    "simple_cnn.SimpleCNN",
    "simple_dense_net.SimpleDenseNet",
    "simple_efficientnet.SimpleEfficientNet",
    "simple_mlp.SimpleMLP",
    "timm_backbone.TimmBackbone",
    "unet.UNet",
    "vision_transformer.VisionTransformer",
)
_TASKS = (
    *("features.FeaturesTask", "parameters.ParametersTask", "pnp.PNPTask", "render.RenderTask"),
    "segment.SegmentTask",
)
_OPTIMIZERS = (
    *("ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "Muon", "NAdam"),
    *("RAdam", "RMSprop", "Rprop", "SGD", "SparseAdam"),
)
_SCHEDULERS = ("Plateau", "constant", "cosine", "cosine_restarts", "exponential", "one_cycle")
_WRAPPERS = ("centralization.gradient_centralization", "lookahead.lookahead", "sam.asam", "sam.sam")
_OUR_LOSSES = (
    *("BoxIoULoss", "CIoULoss", "DIoULoss", "GIoULoss"),
    *("AuralossLoss", "CRPSLoss", "CoralLoss", "CornLoss", "CrossEntropyLoss", "CumulativeSpectralLoss"),
    *("DCLoss", "DiceCrossEntropyLoss", "DiceLoss", "DistanceLoss", "ESRLoss", "EnvelopeLoss"),
    *("EvidentialClassificationLoss", "EvidentialRegressionLoss", "F0CentroidLoss", "FocalLoss"),
    *("GaussianCRPSLoss", "GaussianNLLLoss", "HuberLoss", "LogCoshLoss", "LogSTFTLoss", "MelSpectralLoss"),
    *("MixtureNLLLoss", "MultiResolutionSTFTLoss", "MultiScaleSpectralLoss", "NormalizedRegressionLoss"),
    *("OrdinalRegressionLoss", "PreEmphasisLoss", "QuantizedRegressionLoss", "SISDRLoss", "SoftIoULoss"),
    *("SoftTargetLoss", "SpectralConvergenceLoss", "SpectralOptimalTransportLoss", "TverskyLoss"),
    *("WeightedCrossEntropyLoss", "WeightedMultiLoss"),
)
_TORCH_LOSSES = (  # except losses with a function as argument
    *("BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss", "CrossEntropyLoss"),
    *("GaussianNLLLoss", "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss"),
    *("MarginRankingLoss", "MultiLabelMarginLoss", "MultiLabelSoftMarginLoss", "MultiMarginLoss"),
    *("NLLLoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss", "TripletMarginLoss"),
)
_AURALOSS = (
    *("time.DCLoss", "time.ESRLoss", "time.LogCoshLoss", "time.SDSDRLoss", "time.SISDRLoss"),
    *("time.SNRLoss", "freq.ChromaSTFTLoss", "freq.MelSTFTLoss", "freq.MultiResolutionSTFTLoss"),
    *("freq.RandomResolutionSTFTLoss", "freq.STFTLoss", "freq.STFTMagnitudeLoss"),
    *("freq.SpectralConvergenceLoss", "freq.SumAndDifferenceSTFTLoss"),
)


def _paths(name: str) -> set[str]:
    found = getattr(losses, name)
    short = {key for key, value in losses.Loss.registry.items() if value is found}
    return {name, f"src.models.losses.{name}", f"{found.__module__}.{name}", *short}


_OURS = frozenset({"l1", "l2"}).union(*map(_paths, _OUR_LOSSES))
_BARE = {name.rpartition(".")[2] for name in _TORCH_LOSSES + _AURALOSS} - {"STFTMagnitudeLoss"}  # names without a path
LIBRARY_LOSSES = frozenset(
    {f"torch.nn.{name}" for name in _TORCH_LOSSES} | {f"auraloss.{name}" for name in _AURALOSS} | _BARE - _OURS
)

# the classes that each part of a model config may name, by its key
ROLES = {
    "model": frozenset({"src.models.vimh_lit_module.VIMHLitModule"}),
    "task": frozenset(f"src.models.tasks.{name}" for name in _TASKS),
    "network": frozenset(f"src.models.components.{name}" for name in _NETWORKS),
    "optimizer": frozenset(f"torch.optim.{name}" for name in _OPTIMIZERS) | {"src.models.optimizers.muon.Muon"},
    "scheduler": frozenset(f"src.models.schedules.{name}" for name in _SCHEDULERS),
    "wrappers": frozenset(f"src.models.optimizers.{name}" for name in _WRAPPERS),
    "heads": _OURS | LIBRARY_LOSSES,  # their losses
}
# classes of other packages, or that pass arguments to them: auraloss looks up `window` in torch and calls it
LIBRARY_CLASSES = ROLES["optimizer"] | LIBRARY_LOSSES | _paths("AuralossLoss")
LIBRARY_WORDS = frozenset(  # the words that are allowed as their arguments
    {
        *("none", "mean", "sum", "batchmean", "L1", "L2", "mel", "chroma", "loss", "full", "strong_wolfe"),
        *("hann_window", "hamming_window", "blackman_window", "bartlett_window", "original", "match_rms_adamw"),
        *("levels", "value", "physical", "waveform"),
        *(name.rpartition(".")[2] for name in _AURALOSS),
    }
)
