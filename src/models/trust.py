"""Which code a checkpoint may name: the classes listed here, each in its role, and what its user trusts.

A checkpoint comes from anywhere, and what it names is imported and called with arguments that it chooses. So the lists
hold exact paths, and nothing that imports, loads or calls for its caller. Arguments of a listed class are plain numbers
and words; those of a class that the user trusts are that class's own affair.
"""

import inspect
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from src.models import losses
from src.models.components.timm_backbone import FILE_ARGUMENTS, FILE_OPTIONS, PLAIN_OPTIONS
from src.models.losses import Loss, is_loss_name
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError, did_you_mean, printable, shown
from src.utils.trust import how_to_trust, is_trusted

TIMM_BACKBONE = "src.models.components.timm_backbone.TimmBackbone"
NETWORKS = (
    "ast.AudioSpectrogramTransformer convnext_v2.ConvNeXtV2 hybrid.HybridBackbone simple_cnn.SimpleCNN "
    "simple_dense_net.SimpleDenseNet simple_efficientnet.SimpleEfficientNet simple_mlp.SimpleMLP "
    "timm_backbone.TimmBackbone vision_transformer.VisionTransformer"
).split()
OPTIMIZERS = (
    "ASGD Adadelta Adafactor Adagrad Adam AdamW Adamax LBFGS Muon NAdam RAdam RMSprop Rprop SGD SparseAdam"
).split()
SCHEDULERS = "Plateau constant cosine cosine_restarts exponential one_cycle".split()
WRAPPERS = "centralization.gradient_centralization lookahead.lookahead sam.asam sam.sam".split()
TORCH_LOSSES = (  # of torch.nn, without those that take a function
    "BCELoss BCEWithLogitsLoss CTCLoss CosineEmbeddingLoss CrossEntropyLoss GaussianNLLLoss HingeEmbeddingLoss "
    "HuberLoss KLDivLoss L1Loss MSELoss MarginRankingLoss MultiLabelMarginLoss MultiLabelSoftMarginLoss "
    "MultiMarginLoss NLLLoss PoissonNLLLoss SmoothL1Loss SoftMarginLoss TripletMarginLoss"
).split()
AURALOSS_LOSSES = (
    "time.DCLoss time.ESRLoss time.LogCoshLoss time.SDSDRLoss time.SISDRLoss time.SNRLoss freq.ChromaSTFTLoss "
    "freq.MelSTFTLoss freq.MultiResolutionSTFTLoss freq.RandomResolutionSTFTLoss freq.STFTLoss freq.STFTMagnitudeLoss "
    "freq.SpectralConvergenceLoss freq.SumAndDifferenceSTFTLoss"
).split()


def _our_losses() -> set[str]:
    paths = set()
    for name in losses.__all__:
        found = getattr(losses, name)
        if isinstance(found, type) and issubclass(found, Loss):
            paths |= {name, f"src.models.losses.{name}", f"{found.__module__}.{name}"}
    return paths


_LIBRARY_LOSSES = {
    *(f"torch.nn.{name}" for name in TORCH_LOSSES),
    *(f"auraloss.{name}" for name in AURALOSS_LOSSES),
    *(name.rpartition(".")[2] for name in TORCH_LOSSES + AURALOSS_LOSSES),  # a bare name is looked up there too
} - _our_losses() | {"auraloss", "AuralossLoss", "src.models.losses.AuralossLoss"}  # hands its arguments on

# by the key of a model config: what that part may name
ROLES: Mapping[str, frozenset[str]] = {
    "model": frozenset({"src.models.vimh_lit_module.VIMHLitModule"}),
    "network": frozenset(f"src.models.components.{name}" for name in NETWORKS),
    "optimizer": frozenset(f"torch.optim.{name}" for name in OPTIMIZERS),
    "scheduler": frozenset(f"src.models.schedules.{name}" for name in SCHEDULERS),
    "wrappers": frozenset(f"src.models.optimizers.{name}" for name in WRAPPERS),
    "heads": frozenset(_our_losses() | _LIBRARY_LOSSES),  # their losses
}

# what other packages' classes take as words: auraloss looks `window` up in torch, and calls what it finds
_WORDS = {
    *("none", "mean", "sum", "batchmean", "L1", "L2", "mel", "chroma", "loss", "full", "strong_wolfe"),
    *("hann_window", "hamming_window", "blackman_window", "bartlett_window", "original", "match_rms_adamw"),
    *(name.rpartition(".")[2] for name in AURALOSS_LOSSES),
}
_TIMM_WORD = re.compile(r"[a-z0-9_.]{0,64}")
_PLAIN_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_"}
_NAMING = ("_target_", "class_path")
_LARGEST_SIZE = 65_536  # layers, channels, levels: a larger network would have to bring weights of gigabytes
_LARGEST_NUMBER = 2**53
_COUNTS = ("steps", "class_counts")  # numbers of batches and of examples, not sizes

_Whose = Literal["user", "ours", "library"]


def require_allowed(config: Mapping[str, Any], trust: Sequence[str] = ()) -> None:
    """UserError, which begins with the key, for what a file's model config may not name or pass."""
    whose = _require_named(config, "model_config", "model", trust)
    if whose == "ours":
        known = {*inspect.signature(VIMHLitModule).parameters, *_PLAIN_KEYS} - {"self", "spec", "config"}
        for key in config:
            if key not in known:
                raise UserError(f"model_config.{printable(key, 80)}: no such key.{did_you_mean(key, known)}")
    for key, value in config.items():
        if key not in _NAMING:
            _require(value, f"model_config.{printable(key, 80)}", key if key in ROLES else "", whose, trust)


def named_classes(config: Any, key: str = "") -> set[str]:
    """Return the dotted paths that a model's config names, at any depth."""
    found = set()
    if isinstance(config, Mapping):
        for name, value in config.items():
            found |= named_classes(value, str(name))
    elif isinstance(config, list | tuple):
        for value in config:
            found |= named_classes(value, key)
    elif isinstance(config, str) and key in (*_NAMING, "loss"):
        found.add(config)
    return found


def is_listed(config: Mapping[str, Any]) -> bool:
    """Tell whether a model config names nothing but what the lists hold."""
    listed = frozenset().union(*ROLES.values())
    return all(path in listed or is_loss_name(path) for path in named_classes(config))


def _require(value: Any, key: str, role: str, whose: _Whose, trust: Sequence[str]) -> None:
    """Check one value at any depth; `whose` is the class that takes it."""
    if isinstance(value, Mapping):
        _require_mapping(value, key, role, whose, trust)
    elif isinstance(value, list | tuple):
        for at, inner in enumerate(value):
            _require(inner, f"{key}.{at}", role, whose, trust)
    elif isinstance(value, str):
        if "${" in value:
            raise UserError(f"asks for {shown(value)}, which a checkpoint may not, as {key}; give the value itself")
        if whose == "library" and value not in _WORDS:
            raise UserError(f"{key}: {shown(value)} given; one of {', '.join(sorted(_WORDS))}")
    elif whose != "user" and isinstance(value, int | float):
        sizes = role in ("network", "heads") and not set(_COUNTS) & set(key.split("."))
        most = _LARGEST_SIZE if sizes and isinstance(value, int) else _LARGEST_NUMBER
        if not math.isfinite(value) or abs(value) > most:
            raise UserError(f"{key}: {shown(value)} given; a number of at most {most}")


def _require_mapping(value: Mapping[str, Any], key: str, role: str, whose: _Whose, trust: Sequence[str]) -> None:
    if any(name in value for name in _NAMING):
        whose = _require_named(value, key, role, trust)
    is_timm = value.get("_target_") == TIMM_BACKBONE and whose != "user"
    for name, inner in value.items():
        where = f"{key}.{printable(name, 80)}"
        if name in _NAMING or (is_timm and name in FILE_ARGUMENTS):  # which no restored model reads
            continue
        if whose != "user" and name.startswith("_") and name not in _PLAIN_KEYS:
            raise UserError(f"{where}: a file may not use this key")
        if name == "loss" and role == "heads" and isinstance(inner, str):
            _require_named({"_target_": inner}, where, role, trust)
        elif is_timm and name == "options":
            _require_timm_options(inner, where)
        elif not (name.startswith("_") and name in _PLAIN_KEYS):
            _require(inner, where, role, whose, trust)


def _require_named(value: Mapping[str, Any], key: str, role: str, trust: Sequence[str]) -> _Whose:
    """Return whose class a mapping names; UserError unless it is listed for its role or the user trusts it."""
    whose: _Whose = "ours"
    for path in (value[name] for name in _NAMING if name in value):
        if not isinstance(path, str):
            raise UserError(f"asks for {shown(path)}, which a checkpoint may not, as {key}; a class is named by its path")
        if path in ROLES.get(role, ()) or (role == "heads" and is_loss_name(path)):
            whose = "library" if path in _LIBRARY_LOSSES or role == "optimizer" else whose
        elif is_trusted(path, trust):
            whose = "user"
        else:
            asked = path if path.isprintable() and len(path) <= 200 else shown(path)
            raise UserError(f"asks for {asked}, which a checkpoint may not; {how_to_trust(path)} ({key})")
    return whose


def _require_timm_options(options: Any, key: str) -> None:
    """UserError unless the options of a timm model are plain ones of its architecture."""
    for name, value in (options or {}).items():
        if name in FILE_OPTIONS:  # which no restored model reads
            continue
        if name not in PLAIN_OPTIONS:
            raise UserError(f"{key}.{printable(name, 80)}: a file may not give this option of a timm model")
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, str) and not _TIMM_WORD.fullmatch(one):
                raise UserError(f"{key}.{name}: {shown(one)} given; a name that timm knows is needed")
        _require(value, f"{key}.{name}", "network", "ours", ())
