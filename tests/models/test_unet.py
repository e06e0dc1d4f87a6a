"""The U-Net: features of each pixel for any image, from all of the image; networks and tasks fit together."""

import pytest
import torch

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.components.simple_cnn import SimpleCNN
from src.models.components.unet import UNet
from src.models.tasks.segment import SegmentTask
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError
from tests.models.backbones import SIZES, check_seed
from tests.models.references import FOUR

MAPS = DatasetSpec("t", Inputs((1, 16, 8)), FOUR, map_classes=("none", "lower", "higher"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_image_has_features_of_each_pixel_and_gradients_reach_every_weight(channels, size):
    torch.manual_seed(0)
    network = UNet(channels, size)
    features = network(torch.rand(2, channels, *size))
    assert features.shape == (2, network.feature_dim, *size) and features.isfinite().all()
    (features * torch.randn_like(features)).sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())


def test_the_seed_decides_the_weights():
    check_seed(UNet)


def test_a_pixel_reads_the_whole_image():
    torch.manual_seed(0)
    network, image = UNet(1, (32, 32)), torch.rand(1, 1, 32, 32, requires_grad=True)
    network(image)[0, :, 0, 0].sum().backward()
    assert (image.grad[0, 0] != 0).float().mean() > 0.9


def test_activations_keep_their_size():
    torch.manual_seed(0)
    features = UNet(1, (64, 32))(torch.randn(8, 1, 64, 32))
    assert 0.2 < features.std() < 5.0


@pytest.mark.parametrize("channels", [[8], [8, 0]])
def test_too_few_channels_are_refused(channels):
    with pytest.raises(UserError, match=r"^model.network.channels: \[8"):
        UNet(1, (8, 8), channels)


@pytest.mark.parametrize(
    ("network", "options", "cause"),
    [
        (SimpleCNN, {"task": SegmentTask}, "model.network: SimpleCNN returns features of the image, but SegmentTask"),
        (UNet, {}, "model.network: UNet returns features of each pixel, but ParametersTask needs those of the image"),
        (UNet, {"task": SegmentTask, "auxiliary": "film"}, "model.auxiliary: film given, but UNet returns"),
    ],
)
def test_a_network_that_does_not_fit_the_task_is_refused_in_one_line(network, options, cause):
    with pytest.raises(UserError) as raised:
        VIMHLitModule(MAPS, network, **options)
    assert str(raised.value).startswith(cause) and "\n" not in str(raised.value)
