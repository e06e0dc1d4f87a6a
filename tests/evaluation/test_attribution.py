"""Attributions of predictions to pixels, against closed forms, captum, and recorded numbers of the package grad-cam.

The numbers are of grad-cam 1.5.7, which is not installed with the tests since it needs OpenCV. In an environment with
`pip install grad-cam==1.5.7`, PYTHONPATH=. python tests/evaluation/test_attribution.py writes them again.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from src.data.dataset import images_to_float
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec, Origin
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.attribution import complete_gradients, grad_cam_plus_plus, integrated_gradients, silence
from src.models.build import build_model, load_checkpoint
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.spectral.config import SpectralConfig
from src.utils.errors import UserError
from tests import running

REFERENCE = Path(__file__).with_name("grad_cam_reference.json")
LIN = ParameterSpec(name="level", min=-2, max=6, step=0.5)
LOG = ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log")
WAVE = ParameterSpec(name="wave", values=("saw", "square", "sine"))
MIXED = ParameterSpace([LIN, LOG, WAVE])
CLASSES = ParameterSpace([ParameterSpec(name=name, values=("x", "y", "z")) for name in ("a", "b", "c")])
SCALE = torch.tensor([[-80.0, 0.0]])


def model_of(choice, shape, space=MIXED, seed=0, **heads):
    """Return an untrained model whose values differ clearly between images."""
    torch.manual_seed(seed)
    config = running.plain("train", "model", f"model={choice}") | {"heads": {"default": heads}}
    model = build_model(config, DatasetSpec("t", Inputs(shape), space)).eval()
    with torch.no_grad():
        model.heads.linear.weight.mul_(5.0)
    return model


def scores_of(model, images, explained):
    """Return the scores (P, B) of images, as a user of the heads would compute them."""
    raw, chosen = model(images), model(explained)
    return torch.stack([head.score(raw[name], chosen[name]) for name, head in model.heads.heads.items()])


class Flat(nn.Module):
    """Pixels as features: a model of logits is then linear."""

    normalised_input = False

    def __init__(self, in_channels, image_size):
        super().__init__()
        self.feature_dim = in_channels * image_size[0] * image_size[1]

    def forward(self, image):
        return image.flatten(1)


def test_a_linear_model_gives_weight_times_input():
    config = {"_target_": "src.models.vimh_lit_module.VIMHLitModule", "heads": {}}
    config["network"] = {"_target_": f"{__name__}.Flat", "_partial_": True}
    model = build_model(config, DatasetSpec("t", Inputs((2, 4, 5)), CLASSES)).eval()
    image = torch.rand(1, 2, 4, 5)
    found = integrated_gradients(model, image, None, torch.zeros_like(image), steps=3)
    weights = model.heads.linear.weight.view(3, 3, 2, 4, 5)
    chosen = model.heads.linear(image.flatten(1)).view(3, 3).argmax(dim=1)
    expected = torch.stack([weights[at, category] for at, category in enumerate(chosen)]) * image
    torch.testing.assert_close(found.pixels, expected.detach(), rtol=1e-5, atol=1e-7)
    assert found.is_complete


LARGE = [pytest.param(name, marks=pytest.mark.long) for name in ("convnext_18k", "efficientnet_66k", "vit_tiny")]


@pytest.mark.parametrize("choice", ["cnn_micro", *LARGE])
def test_pixels_sum_to_the_difference_from_silence(choice):
    for seed, kind in enumerate(("regression", "classification", "mixture", "coral")):
        model = model_of(choice, (1, 16, 16), seed=seed, kind=kind)
        image = torch.rand(1, 1, 16, 16)
        found = integrated_gradients(model, image, None, silence(model.spec))
        with torch.no_grad():
            ends = scores_of(model, torch.cat([image, torch.zeros_like(image)]), image)
        difference = ends[:, 0] - ends[:, 1]
        assert difference.abs().max() > 1e-2  # else this would compare zeros
        torch.testing.assert_close(found.pixels.sum(dim=(1, 2, 3)), difference, rtol=0.01, atol=1e-4)


def test_a_trained_model_is_explained_completely(trained, saw):
    model = load_checkpoint(trained.best)
    batch = VIMHDataset(saw, "test").__getitems__(range(13))
    with torch.no_grad():
        quiet = model.heads.space.normalize(model.values(silence(model.spec), SCALE).numpy())[0]
    for image, scale in zip(images_to_float(batch["image"]), batch["scale"], strict=True):
        found = complete_gradients(model, image[None], scale[None])
        difference = found.scores - found.baseline_scores
        assert (found.errors <= 0.01 * difference.abs()).all()
        np.testing.assert_allclose(found.baseline_scores.clamp(0, 1), quiet, atol=1e-5)


class Kink(nn.Module):
    """A feature that changes within a thousandth of the path."""

    normalised_input, feature_dim = False, 1

    def __init__(self, in_channels, image_size):
        super().__init__()

    def forward(self, image):
        return (2000.0 * (image.mean(dim=(1, 2, 3)) - 0.3)).sigmoid()[:, None]


def test_steps_are_added_until_the_gradients_are_complete():
    config = {"_target_": "src.models.vimh_lit_module.VIMHLitModule", "heads": {}}
    config["network"] = {"_target_": f"{__name__}.Kink", "_partial_": True}
    model = build_model(config, DatasetSpec("t", Inputs((1, 4, 4)), CLASSES)).eval()
    image = torch.ones(1, 1, 4, 4)
    assert not integrated_gradients(model, image, None, silence(model.spec)).is_complete
    assert complete_gradients(model, image, None).is_complete


@pytest.mark.parametrize("choice", ["cnn_micro", "vit_tiny"])
def test_captum_gives_the_same_gradients(choice):
    captum = pytest.importorskip("captum.attr")
    model = model_of(choice, (2, 16, 16))
    image, baseline = torch.rand(1, 2, 16, 16), torch.rand(1, 2, 16, 16)
    found = integrated_gradients(model, image, None, baseline, steps=20)
    for at in range(3):
        reference = captum.IntegratedGradients(lambda images, at=at: scores_of(model, images, image)[at])
        expected = reference.attribute(image, baseline, n_steps=20, method="gausslegendre")
        torch.testing.assert_close(found.pixels[at], expected[0].float(), rtol=1e-4, atol=1e-5)


def test_the_dB_range_is_read_and_constant_along_the_path():
    torch.manual_seed(0)
    config = running.plain("train", "model") | {"auxiliary": "concat", "heads": {}}
    model = build_model(config, DatasetSpec("t", Inputs((1, 16, 16)), MIXED)).eval()
    image, ranges = torch.rand(1, 1, 16, 16), torch.tensor([[-60.0, -10.0], [-60.0, -30.0]])
    found = [integrated_gradients(model, image, one[None], torch.zeros_like(image)) for one in ranges]
    assert found[0].is_complete and found[1].is_complete
    assert not torch.allclose(found[0].baseline_scores, found[1].baseline_scores)


def test_silence_is_the_front_ends():
    spectral = SpectralConfig(
        channels=("magnitude", "instantaneous_frequency"), height=8, width=8, n_fft=64, n_window=64, hop_length=32
    )
    spec = DatasetSpec("t", Inputs((2, 8, 8)), MIXED, Origin(8000.0, 0.1, spectral=spectral))
    torch.testing.assert_close(silence(spec)[0], torch.tensor([0.0, 0.5])[:, None, None].expand(2, 8, 8))
    dark = DatasetSpec("t", Inputs((1, 2, 2), "image", value_range=(-1.0, 1.0)), MIXED)
    assert (silence(dark) == -1).all()


def example():
    """Return a CNN with 4 x 4 maps and an image, of numbers that depend on no random generator.

    Its maps are positive and its gradients large. For others the package departs from the paper: it adds 1e-6 to the
    denominator of equation 19, which is not small beside the squared gradients of values in [0, 1].
    """
    small = {"channels": [4, 6], "strides": [1, 2], "grid_size": [4, 4], "feature_dim": 8}
    config = running.plain("train", "model") | {"heads": {}}
    config["network"] |= small
    model = build_model(config, DatasetSpec("t", Inputs((1, 8, 8)), CLASSES)).eval()
    for at in (1, 3):
        model.network.stages[at] = nn.ReLU()
    with torch.no_grad():
        for number, weights in enumerate(model.parameters()):
            wave = np.sin(1.3 * np.arange(weights.numel()) ** 1.1 + number)
            weights.copy_(torch.from_numpy(wave).view_as(weights) / np.sqrt(weights[0].numel()))
        model.heads.linear.weight.mul_(50.0)
    image = np.sin(0.3 * np.arange(64.0)) ** 2
    return model, torch.from_numpy(image).float().view(1, 1, 8, 8)


def test_grad_cam_gives_the_same_maps():
    model, image = example()
    expected = torch.tensor(json.loads(REFERENCE.read_text()))
    assert expected.std(dim=(1, 2)).min() > 0.1 and (expected[0] - expected[1]).abs().max() > 0.1
    torch.testing.assert_close(grad_cam_plus_plus(model, image, None), expected, rtol=0, atol=1e-5)


def test_a_map_shows_where_the_maps_that_raise_a_score_are_active():
    model, _ = example()
    with torch.no_grad():
        for layer in model.network.stages[::2]:  # each map is the image at half the resolution
            layer.weight.zero_()
            layer.weight[:, :, 1, 1] = 1.0
            layer.bias.zero_()
        model.network.project[2].weight.fill_(0.1)
        model.heads.linear.weight.fill_(1.0)
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 4, 2] = 1.0  # what the strides keep at row 2 of 4, column 1 of 4
    seen = grad_cam_plus_plus(model, image, None)[0]
    assert seen[4:6, 2:4].min() > 0.5 and seen[:3].max() == 0 and seen[:, 6:].max() == 0


@pytest.mark.parametrize("choice", ["cnn_micro", "convnext_18k", "efficientnet_66k", "densenet_68k"])
def test_networks_that_end_in_maps_have_regions(choice):
    model = model_of(choice, (2, 24, 40))
    seen = grad_cam_plus_plus(model, torch.rand(1, 2, 24, 40), None)
    assert seen.shape == (3, 24, 40) and seen.min() >= 0 and seen.max() == 1 and not seen.requires_grad
    assert not any(part._forward_hooks for part in model.network.modules())


@pytest.mark.parametrize("choice", ["vit_tiny", "mlp_68k", "frames_23k", "hybrid_tiny", "ast_micro"])
def test_other_networks_are_refused_in_one_line(choice):
    model = model_of(choice, (1, 32, 32))
    with pytest.raises(UserError, match=r"Grad-CAM\+\+ needs a network that ends in feature maps.* does not$"):
        grad_cam_plus_plus(model, torch.rand(1, 1, 32, 32), None)


def test_a_prediction_leaves_no_gradients_behind():
    model = model_of("cnn_micro", (1, 16, 16))
    with torch.no_grad():
        image = torch.rand(1, 1, 16, 16)
        complete_gradients(model, image, None)
        grad_cam_plus_plus(model, image, None)
    assert all(weights.grad is None for weights in model.parameters()) and not image.requires_grad


class Joined(nn.Module):
    """A model's logits as one row, which the package takes."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return torch.cat(list(self.model(images).values()), dim=1)


def write_reference():
    """Write the maps of the package grad-cam for `example`."""
    from pytorch_grad_cam import GradCAMPlusPlus
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, image = example()
    maps = []
    for at, raw in enumerate(model(image).values()):
        target = ClassifierOutputTarget(3 * at + int(raw.argmax()))
        maps.append(GradCAMPlusPlus(Joined(model), [model.network.stages])(image, [target])[0].tolist())
    REFERENCE.write_text(json.dumps(maps) + "\n")


if __name__ == "__main__":
    write_reference()
