"""One tiny dataset and one tiny trained model, made once for all tests that only read them."""

import gc
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from src.data.generate import generate
from src.data.recipe import parse_recipe
from tests import running


@dataclass(frozen=True)
class Trained:
    """A finished run: its directory, its best checkpoint, what it returned and its test's figures."""

    output: Path
    best: Path
    score: float
    results: dict[str, Any]


gc.disable()  # while modules are imported and tests are collected, which leaves no garbage to speak of


def pytest_collection_finish() -> None:
    """What collecting has made stays to the end: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tensors are tiny here: several threads would only wait for each other, the longer the busier the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def shared_configs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Composing a config takes longer than many tests: pytest's workers, which share a directory, share them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        running.shared = tmp_path_factory.getbasetemp().parent / "configs"
        running.shared.mkdir(exist_ok=True)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the datasets of this session are; one that a config describes is made here when first asked for."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def saw(data_root: Path) -> Path:
    """A simple_saw dataset of 128 clips (102 train, 13 val, 13 test)."""
    return generate(parse_recipe(running.recipe("dataset.size=128")), data_root)[0]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, data_root: Path, saw: Path) -> Trained:
    """Four epochs of the default model on `saw`, with the default callbacks and loggers."""
    output = tmp_path_factory.mktemp("trained")
    score = running.run("train", data_root, output, "trainer.max_epochs=4", "logger=tensorboard")
    results = json.loads((output / "test_results.json").read_text())
    return Trained(output, output / "checkpoints/best.ckpt", score, results)
