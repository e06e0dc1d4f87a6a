"""TimmBackbone: timm's own model on the centred image, enlarged where it is too small."""

import sys

import numpy as np
import pytest
import scipy.ndimage
import torch

from src.models.components.timm_backbone import TimmBackbone
from src.utils.errors import UserError
from tests.models import references

timm = pytest.importorskip("timm")


@pytest.mark.parametrize("height_width", [(1, 1), (1, 64), (5, 7), (32, 32), (257, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_gives_features_and_finite_gradients(channels, height_width):
    network = TimmBackbone(channels, height_width, "test_nfnet")
    references.check_features_and_gradients(network, torch.rand(2, channels, *height_width))


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "test_efficientnet_ln"])
def test_features_are_those_of_timm_on_the_same_image(name):
    network = TimmBackbone(1, (64, 48), name).eval()
    size = {"img_size": (64, 48)} if name == "test_vit" else {}
    own = timm.create_model(name, num_classes=0, in_chans=1, **size).eval()
    own.load_state_dict(network.network.state_dict())
    image = torch.randn(2, 1, 64, 48)
    torch.testing.assert_close(network(image), own(image))


def test_small_sides_are_enlarged_bilinearly():
    network = TimmBackbone(1, (8, 40), "test_nfnet", min_size=32).eval()
    image = torch.randn(1, 1, 8, 40)
    large = scipy.ndimage.zoom(image[0, 0].double().numpy(), (4, 1), order=1, mode="nearest", grid_mode=True)
    expected = network.network(torch.from_numpy(large).float()[None, None])
    np.testing.assert_allclose(network(image).detach(), expected.detach(), rtol=1e-3, atol=1e-5)


def test_weights_come_from_a_local_file(tmp_path):
    torch.manual_seed(0)
    whole = timm.create_model("test_nfnet")  # with its classifier, for three channels
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    network = TimmBackbone(3, (32, 32), "test_nfnet", weights=str(tmp_path / "weights.pth")).eval()
    image = torch.randn(2, 3, 32, 32)
    expected = whole.eval().forward_head(whole.forward_features(image), pre_logits=True)
    torch.testing.assert_close(network(image), expected)
    grey = TimmBackbone(1, (32, 32), "test_nfnet", weights=str(tmp_path / "weights.pth"))
    kernel = whole.stem.conv1.weight.sum(dim=1, keepdim=True)
    torch.testing.assert_close(grey.network.stem.conv1.weight, kernel)


def test_options_reach_timm():
    plain = TimmBackbone(1, (32, 32), "test_convnext")
    narrow = TimmBackbone(1, (32, 32), "test_convnext", options={"dims": (8, 16, 24, 40)})
    assert (plain.feature_dim, narrow.feature_dim) == (64, 40)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "resnet81"}, r"model.network.name: timm has no model 'resnet81'. Did you mean 'resnet\w+'\?"),
        ({"name": "xyzzyx"}, r"model.network.name: timm has no model 'xyzzyx'. timm.list_models\(\) lists them."),
        ({"name": "test_nfnet", "weights": "no/such.pth"}, r"model.network.weights: no/such.pth does not exist; .*"),
        ({"name": "test_nfnet", "options": {"colour": 1}}, r"model.network: timm's test_nfnet refuses .*colour.*"),
        ({"name": "levit_128s"}, r"model.network: timm's levit_128s refuses images of 33x32x1.*min_size.*"),
    ],
)
def test_faults_are_one_line(given, says):
    with pytest.raises(UserError, match=f"^{says}$"):
        TimmBackbone(1, (33, 32), **given)


def test_weights_that_hold_code_are_refused(tmp_path):
    torch.save({"weight": print}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="weights"):
        TimmBackbone(1, (32, 32), "test_nfnet", weights=str(tmp_path / "weights.pth"))


def test_without_timm_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match="uv pip install timm"):
        TimmBackbone(1, (32, 32), "resnet18")


def test_weights_depend_on_the_seed_alone():
    references.check_seed(lambda: TimmBackbone(1, (32, 32), "test_nfnet"))


def test_number_of_parameters_is_what_the_config_claims():
    references.check_claimed_count("timm")
