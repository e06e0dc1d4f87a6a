"""Show the network of a model config for a dataset: a table, on request also a graph or a drawing: `make td`."""

import argparse
import shutil
import sys
from itertools import zip_longest
from pathlib import Path

import rootutils

ROOT = rootutils.setup_root(__file__, indicator="pyproject.toml", pythonpath=True)

from hydra import compose, initialize_config_dir

from src.cli.script import given_path, run_script
from src.data.info import INFO_FILE, read_spec
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.evaluation.architecture import Layer, black_inputs, describe_blocks, describe_layers
from src.evaluation.architecture_plot import block_figure
from src.evaluation.plots import save_figure
from src.models.build import build_model
from src.models.vimh_lit_module import VIMHLitModule
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from src.utils.files import write_atomic
from src.utils.plain import to_plain
from src.utils.table import Column, plain, show

CONFIGS = ROOT / "configs"
NAMES = sorted(path.stem for path in (CONFIGS / "model").glob("*.yaml") if path.stem != "base")
HEADS = 4  # number of heads without a dataset
NO_DOT = "the graph needs graphviz's program dot: brew install graphviz, or sudo apt install graphviz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--model", nargs="+", default=["cnn_micro"], help="model configs, by name", metavar="NAME")
    what.add_argument("--all", action="store_true", help="every model config")
    what.add_argument("--compare", nargs="+", metavar="NAME", help="model configs side by side")
    what.add_argument("--list", action="store_true", help="model configs with their sizes")
    parser.add_argument("--graph", action="store_true", help="also write torchview's graph to a file")
    parser.add_argument("--vgg", action="store_true", help="also draw the blocks as boxes, to scale")
    parser.add_argument("--format", choices=("png", "svg"), default="png")
    parser.add_argument("--output", type=given_path, default=ROOT / "logs/diagrams", help="folder for the files")
    parser.add_argument("--data", type=given_path, help="a VIMH directory (default: the newest in data)")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="image size, without a dataset")
    parser.add_argument("--channels", type=int, default=1, help="channels of the images, with --size")
    arguments = parser.parse_args()
    names = arguments.compare or (NAMES if arguments.all or arguments.list else arguments.model)
    for name in names:
        if name not in NAMES:
            parser.error(f"no model config '{name}'; there are {', '.join(NAMES)}")
    try:
        spec = find_spec(arguments)
    except UserError as error:
        raise SystemExit(str(error)) from error
    models = {}
    for name in names:
        try:
            models[name] = build(name, spec)
        except UserError as error:  # for example, an optional library that is not installed
            print(f"{name}: {error}", file=sys.stderr)
    if not models:
        raise SystemExit(1)
    size = "x".join(map(str, spec.image_shape))
    print(f"images (C x H x W) {size}, {len(spec.space)} heads: {plain(spec.name)}\n")
    if arguments.list:
        show_list(models)
        return
    if arguments.compare:
        show_comparison(models)
    for name, model in models.items():
        if not arguments.compare:
            show_layers(name, model)
        if arguments.graph or arguments.vgg:
            arguments.output.mkdir(parents=True, exist_ok=True)
        if arguments.vgg:
            path = arguments.output / f"{name}_{size}_vgg.{arguments.format}"
            title = f"{name}: {count(model):,} parameters"
            save_figure(block_figure(title, describe_blocks(model, *black_inputs(model))), path, dpi=150)
            print(f"drawing: {path}")
        if arguments.graph:
            print(save_graph(model, arguments.output / f"{name}_{size}_graph.{arguments.format}"))


def find_spec(arguments: argparse.Namespace) -> DatasetSpec:
    """Return the spec of the given dataset or size, else of the newest dataset, else of 32 x 32 x 1 images."""
    if arguments.data:
        return read_spec(arguments.data)
    found = sorted((ROOT / "data").glob(f"*/{INFO_FILE}"), key=lambda path: path.stat().st_mtime)
    if found and not arguments.size:
        return read_spec(found[-1].parent)
    heads = ParameterSpace(ParameterSpec(name=f"parameter_{at}", min=0, max=1) for at in range(1, HEADS + 1))
    return DatasetSpec("no dataset", Inputs((arguments.channels, *(arguments.size or (32, 32)))), heads)


def build(name: str, spec: DatasetSpec) -> VIMHLitModule:
    """Build a model as training does."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("train", [f"model={name}", "paths.output_dir=."])
    return build_model(to_plain(config.model), spec).eval()


def count(model: VIMHLitModule) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def short(layer: Layer) -> str:
    return layer.name.partition(".")[2] or layer.name


def show_layers(name: str, model: VIMHLitModule) -> None:
    """Print one row per layer, and the totals."""
    layers = describe_layers(model, *black_inputs(model))
    columns = [Column("layer", text=True), Column("kind", text=True), Column("output shape")]
    columns += [Column("parameters"), Column("multiply-adds")]
    rows = [
        [
            *(short(layer), layer.kind, " x ".join(map(str, layer.shape))),
            *(f"{layer.parameters:,}", f"{layer.multiply_adds:,}"),
        ]
        for layer in layers
    ]
    total = ["total", "", "", f"{count(model):,}", f"{sum(layer.multiply_adds for layer in layers):,}"]
    show(columns, [*rows, total], name, sections={len(rows)})


def show_list(models: dict[str, VIMHLitModule]) -> None:
    """Print one row per model config."""
    columns = [Column("model=", text=True), Column("network", text=True)]
    columns += [Column("parameters"), Column("multiply-adds"), Column("features")]
    rows = []
    for name, model in models.items():
        multiply_adds = sum(layer.multiply_adds for layer in describe_layers(model, *black_inputs(model)))
        sizes = (f"{count(model):,}", f"{multiply_adds:,}", str(model.network.feature_dim))
        rows.append([name, type(model.network).__name__, *sizes])
    show(columns, rows)


def show_comparison(models: dict[str, VIMHLitModule]) -> None:
    """Print one column per model: its size, then its blocks, from input to output."""
    columns = [Column("", text=True), *(Column(name, text=True) for name in models)]
    blocks = [describe_blocks(model, *black_inputs(model)) for model in models.values()]
    rows = [
        ["parameters", *(f"{count(model):,}" for model in models.values())],
        ["multiply-adds", *(f"{sum(block.multiply_adds for block in column):,}" for column in blocks)],
        ["features", *(str(model.network.feature_dim) for model in models.values())],
    ]
    for at, row in enumerate(zip_longest(*blocks), start=1):
        cells = (f"{block.kind} {'x'.join(map(str, block.shape))}" if block else "" for block in row)
        rows.append([str(at), *cells])
    show(columns, rows, sections={3})


def save_graph(model: VIMHLitModule, path: Path) -> str:
    """Save torchview's graph of every operation; return one line with its path, or with what is missing."""
    if not shutil.which("dot"):
        return NO_DOT
    try:
        from torchview import draw_graph
    except ImportError:
        return "the graph needs torchview: uv pip install torchview"
    graph = draw_graph(model, input_data=black_inputs(model), expand_nested=True, depth=5, device="cpu").visual_graph
    graph.attr(dpi="110" if path.suffix == ".png" else "72")
    write_atomic(path, graph.pipe(format=path.suffix.removeprefix("."), quiet=True))
    return f"graph: {path}"


if __name__ == "__main__":
    run_script(main)
