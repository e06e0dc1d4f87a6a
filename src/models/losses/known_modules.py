"""The inputs of the losses of torch.nn and auraloss, by name, which neither package declares."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from torch import nn

from src.models.losses.base import require

TORCH = {
    "CrossEntropyLoss": ("levels", "probabilities", "maps"),
    "BCEWithLogitsLoss": ("levels",),  # one-hot, see ModuleLoss
    "L1Loss": ("waveform", "value"),
    "MSELoss": ("waveform", "value"),
    "SmoothL1Loss": ("waveform", "value"),
    "HuberLoss": ("waveform", "value"),
}
INSTEAD = {  # alternatives for losses of torch.nn that no head can use
    "NLLLoss": "it takes log probabilities; torch.nn.CrossEntropyLoss takes logits",
    "BCELoss": "it takes probabilities; torch.nn.BCEWithLogitsLoss takes logits",
    "KLDivLoss": "it takes log probabilities; soft_target is a divergence that takes logits",
    "GaussianNLLLoss": "it takes a variance as a third argument; gaussian_nll takes a mean and a log variance",
}
AURALOSS = {
    "auraloss.time": ("ESRLoss", "DCLoss", "LogCoshLoss", "SNRLoss", "SISDRLoss", "SDSDRLoss"),
    "auraloss.freq": (
        "STFTLoss",
        "MelSTFTLoss",
        "ChromaSTFTLoss",
        "MultiResolutionSTFTLoss",
        "RandomResolutionSTFTLoss",
        "SumAndDifferenceSTFTLoss",
    ),
}
_IN_DB = ("SNRLoss", "SISDRLoss", "SDSDRLoss")
_WINDOWS = ("hann_window", "bartlett_window", "blackman_window", "hamming_window", "kaiser_window")
_LONGEST = 2**20  # samples of a window: 22 s at 48 kHz
_LIMITS = dict.fromkeys(("size", "sizes", "length", "lengths"), _LONGEST)  # by the last word of an argument
_LIMITS |= {"mels": 1024, "chroma": 1024, "bins": 1024, "resolutions": 32}


def dotted_path(name: str) -> str | None:
    """Return the dotted path of a class name, in torch.nn before auraloss; None for an unknown name."""
    if name.endswith("Loss") and hasattr(nn, name):
        return f"torch.nn.{name}"
    return next((f"{part}.{name}" for part, names in AURALOSS.items() if name in names), None)


def known_takes(module: nn.Module) -> tuple[str, ...]:
    """Return the kinds that a loss of torch.nn or auraloss, or of a derived class, takes; () if unknown."""
    for base in type(module).__mro__:
        if base.__module__ == "torch.nn.modules.loss" and base.__name__ in TORCH:
            return TORCH[base.__name__]
        if base.__name__ in AURALOSS.get(base.__module__, ()):
            return ("waveform",)
    return ()


def may_be_negative(module: nn.Module) -> bool:
    """Return whether a module is an auraloss loss in dB."""
    return _package(module) == "auraloss" and type(module).__name__ in _IN_DB


def takes_channels(module: nn.Module) -> bool:
    """Return whether a module accepts only (B, C, T)."""
    return _package(module) == "auraloss"


def pools_the_batch(module: nn.Module) -> bool:
    """Return whether a module mixes the examples of a batch for any `reduction`."""
    return any(base.__module__ == "auraloss.freq" for base in type(module).__mro__)


def check_auraloss(name: str, arguments: Mapping[str, Any]) -> None:
    """Raise ValueError for huge sizes and unknown windows, since auraloss calls the named function of torch."""
    if (name in ("MelSTFTLoss", "ChromaSTFTLoss") or arguments.get("scale")) and not find_spec("librosa"):
        raise ValueError("its filters need librosa, which is not installed; install it with: uv pip install librosa")
    for key in ("window", "windows"):
        for name in _as_list(arguments.get(key, [])):
            require(name in _WINDOWS, key, name, f"it must be one of {', '.join(_WINDOWS)}")
    for key, given in arguments.items():
        largest = _LIMITS.get(key.rpartition("_")[2])
        for size in _as_list(given) if largest else []:
            require(
                isinstance(size, int | float) and largest is not None and 0 < size <= largest,
                key,
                size,
                f"it must be above 0, at most {largest}",
            )


def _as_list(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def _package(module: nn.Module) -> str:
    return type(module).__module__.partition(".")[0]
