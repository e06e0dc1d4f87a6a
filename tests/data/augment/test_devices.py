"""On an accelerator nothing waits, and the random numbers are those of the CPU."""

import pytest
import torch

from src.data.augment.augmentation import parse_augmentation
from src.data.augment.level_label import LevelLabel
from src.data.augment.mix import Mix
from src.data.augment.random import sample_keys, uniforms
from src.parameters.spec import ParameterSpec
from tests.data.augment.test_augmentation import PICTURES, SOUNDS, batch_of
from tests.models.test_cuda import CUDA, NoWaiting, OnCUDA

MIXES = ("mixup", "cutmix", "token_mix")
VELOCITY = LevelLabel(0, ParameterSpec(name="note_velocity", min=1, max=127, step=1))


@pytest.mark.parametrize("device", ["meta", CUDA])
@pytest.mark.parametrize("name", [*PICTURES, *SOUNDS, *MIXES])
def test_no_transform_waits_for_the_device(name, device):
    augmentation = parse_augmentation({name: PICTURES.get(name, {})}, seed=0)
    if name == "gain":
        augmentation = type(augmentation)(augmentation.transforms, 0, level=VELOCITY)
    batch = {key: values.to(device) for key, values in batch_of(kind="sound").items()}
    augmentation(batch, 0)  # the first time copies a table
    with OnCUDA() if device == "cuda" else NoWaiting():
        found = augmentation(batch, 1)
    halved = 2 if isinstance(augmentation.transforms[name], Mix) else 1
    assert found["image"].shape == (12 // halved, 1, 8, 8) and found["image"].device.type == device


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_draws_the_numbers_of_the_cpu():
    index = torch.arange(1000)
    here, there = (uniforms(sample_keys(index.to(device), 3, 4, "x"), 50).cpu() for device in ("cpu", "cuda"))
    assert torch.equal(here, there)
