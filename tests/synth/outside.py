"""Which shipped synths need a program outside this project, and skipping their tests without it."""

import importlib.util
from pathlib import Path

import pytest

NEKOBI = "/usr/lib/vst/Nekobi-vst.so"  # package dpf-plugins-vst
_HOSTED = {"faust_saw_ladder", "instruments", "nekobi"}  # by DawDreamer
_EXPERIMENTS = {"vimh_cnn_stk": "instruments"}  # of those whose name is not their synth's


def require_installed(name: str) -> None:
    """Skip this test if a synth, or an experiment's synth, cannot be rendered here."""
    synth = _EXPERIMENTS.get(name, name)
    if synth in _HOSTED and not importlib.util.find_spec("dawdreamer"):
        pytest.skip("dawdreamer is not installed")
    if synth == "nekobi" and not Path(NEKOBI).exists():
        pytest.skip("Nekobi is not installed")
