"""Layer tables: what hooks find is what formulas say, and nothing is counted twice or left out."""

from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.evaluation.architecture import Layer, describe_blocks, describe_layers
from src.evaluation.architecture_plot import block_figure
from src.evaluation.architecture_svg import block_svg
from src.models.build import build_model
from tests import running
from tests.models.references import FOUR

MODELS = sorted(path.stem for path in (running.CONFIGS / "model").glob("*.yaml") if path.stem != "base")


def built(name, shape=(1, 32, 32)):
    if name == "timm":
        pytest.importorskip("timm")
    config = running.plain("train", "model", f"model={name}")
    return build_model(config, DatasetSpec("t", Inputs(shape), FOUR)), torch.zeros(1, *shape)


def test_a_cnn_layer_by_layer():
    """Weights and multiply-adds by hand: 9 per pair of channels, and that at every place of the output."""
    model, image = built("cnn_micro")
    rows = [(one.kind, one.shape, one.parameters, one.multiply_adds) for one in describe_layers(model, image)]
    assert rows == [
        ("Conv2d", (8, 16, 16), 9 * 8 + 8, 9 * 8 * 256),
        ("Conv2d", (16, 8, 8), 9 * 8 * 16 + 16, 9 * 8 * 16 * 64),
        ("Conv2d", (16, 4, 4), 9 * 16 * 16 + 16, 9 * 16 * 16 * 16),
        ("Flatten", (256,), 0, 0),
        ("Linear", (24,), 256 * 24 + 24, 256 * 24),
        ("Linear", (4,), 24 * 4 + 4, 24 * 4),
    ]


class WithOwn(nn.Module):
    """A weight of its own, a product of its own, a list that never runs, and a layer that runs twice."""

    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(5, 7))
        self.layers = nn.ModuleList([nn.Linear(7, 7, bias=False)])

    def forward(self, x):
        once = self.layers[0](x)
        return self.layers[0](once) @ self.token.T


def test_what_a_module_does_beside_its_children_is_a_row_of_its_own():
    rows = describe_layers(WithOwn(), torch.zeros(1, 7))
    assert [(one.name, one.shape, one.parameters, one.multiply_adds) for one in rows] == [
        ("WithOwn", (5,), 35, 35),
        ("WithOwn.layers.0", (7,), 49, 98),
    ]


class Attention(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


def test_fused_attention_counts_both_of_its_products():
    (row,) = describe_layers(Attention(), torch.zeros(1, 2, 16, 9))
    assert row.multiply_adds == 2 * (2 * 16 * 16 * 9)


@pytest.mark.parametrize("name", MODELS)
def test_rows_add_up_to_the_model(name):
    model, image = built(name)
    total = sum(parameter.numel() for parameter in model.parameters())
    layers, blocks = describe_layers(model, image), describe_blocks(model, image)
    assert sum(one.parameters for one in layers) == total
    assert sum(one.multiply_adds for one in layers) == sum(one.multiply_adds for one in blocks) > 0
    assert all(one.multiply_adds >= 0 for one in layers)
    assert blocks[-1].shape == (len(FOUR),)


def test_describing_leaves_no_trace():
    model, image = built("cnn_micro")
    describe_layers(model, image)
    assert model.training
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_drawing_says_every_shape():
    model, image = built("densenet_68k", (3, 48, 20))
    blocks = describe_blocks(model, image)
    texts = {text.get_text() for text in block_figure("title", blocks).axes[0].texts}
    assert {"title", "3x48x20", "32x24x10", "DenseBlock", "heads", "4"} <= texts


@pytest.mark.parametrize("name", ["cnn_micro", "densenet_68k", "vit_38k", "mlp_68k"])
def test_the_drawing_for_a_page_is_whole_small_and_refers_to_nothing(name):
    model, image = built(name, (2, 48, 32))
    blocks = describe_blocks(model, image)
    content = block_svg(blocks)
    drawing = ElementTree.fromstring(content)
    texts = [one.text for one in drawing.iter("text")]
    assert texts[:2] == ["2x48x32", "image"] and texts[-2] == "heads" and texts[-1] == f"{blocks[-1].parameters:,}"
    assert len(content) < 10_000 and "href" not in content and "url(" not in content and "http" not in content
    size = [float(drawing.get(side)) for side in ("width", "height")]
    corners = [pair.split(",") for one in drawing.iter("polygon") for pair in one.get("points").split()]
    for corner in corners:
        assert all(0 <= float(place) <= most for place, most in zip(corner, size, strict=True))


def test_a_name_in_the_drawing_is_text():
    svg = block_svg([Layer("a", '<b>"', (1, 4, 4), (2, 2, 2), 5, 7), Layer("b", "Linear", (8,), (3,), 5, 7)])
    assert "<b>" not in svg and [one.text for one in ElementTree.fromstring(svg).iter("text")][3] == '<b>"'


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--list",), "cnn_micro"),
        (("--model", "cnn_micro", "--vgg", "--graph"), "9,836"),
        (("--compare", "cnn_micro", "mlp_68k"), "Linear 24"),
    ],
)
@pytest.mark.slow
def test_the_script_prints_and_saves(arguments, says, tmp_path):
    done = running.command("viz/show_architecture.py", *arguments, "--size", "32", "32", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
    assert (tmp_path / "cnn_micro_1x32x32_vgg.png").is_file() == ("--vgg" in arguments)
