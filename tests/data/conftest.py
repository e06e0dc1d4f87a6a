"""One tiny dataset, generated once, copies of it to damage, and a bound on memory."""

import copy
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from src.data.generate import generate
from src.data.recipe import Recipe, parse_recipe

TINY = {
    "synth": {
        "name": "tiny",
        "voice": "src.synth.saw_moog.SAW_MOOG",
        "sample_rate": 8000,
        "duration": 0.1,
        "parameters": {
            "note_velocity": {"min": 64, "step": 7, "max": 127},
            "filter_cutoff": {"min": 200, "step": 100, "max": 2000, "scale": "log"},
            "filter_resonance": {"value": 0.5},
        },
    },
    "spectral": {"height": 8, "width": 6, "n_fft": 80, "n_window": 80, "window_type": "rectangular"},
    "dataset": {"size": 150, "name": "tiny"},
}


def tiny_config(**changes) -> dict:
    """Return TINY with dotted keys changed, `tiny_config(**{"dataset.size": 64})`."""
    config = copy.deepcopy(TINY)
    for key, value in changes.items():
        section, _, name = key.partition(".")
        config[section][name] = value
    return config


def tiny_recipe(**changes) -> Recipe:
    return parse_recipe(tiny_config(**changes))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """150 sounds in three blocks: 120 train, 15 val, 15 test, with pickle twins. Not to be touched."""
    return generate(tiny_recipe(), tmp_path_factory.mktemp("data"), pickle=True)[0]


@pytest.fixture
def copy_of(tmp_path) -> Callable[[Path], Path]:
    """Copy a dataset below tmp_path, where it may be damaged."""
    return lambda directory: Path(shutil.copytree(directory, tmp_path / directory.name))


@pytest.fixture
def one_gigabyte() -> Iterator[None]:
    """Let this process allocate a gigabyte more than it has; more is a MemoryError."""
    if sys.platform != "linux":
        yield
        return
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
