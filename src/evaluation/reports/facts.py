"""Tables of a report that are not about predictions: the run, the network, the metrics of a task without parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from src.evaluation.architecture import black_inputs, describe_blocks, describe_layers
from src.evaluation.architecture_svg import block_svg
from src.evaluation.intervals import rounded
from src.evaluation.map_tables import map_table
from src.evaluation.maps import read_map_results
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.table import Column

Table = tuple[list[Column], list[list[str]]]


def network_drawing(model: VIMHLitModule) -> str:
    """Return the blocks of a network as an SVG element."""
    with torch.random.fork_rng(devices=[]):
        return block_svg(describe_blocks(model.cpu(), *black_inputs(model)))


def layer_table(model: VIMHLitModule) -> Table:
    """Return a network's layers with the shapes of their outputs, their parameters and multiply-adds, and totals."""
    with torch.random.fork_rng(devices=[]):
        layers = describe_layers(model.cpu(), *black_inputs(model))
    columns = [Column("layer", text=True), Column("type", text=True), Column("output")]
    columns += [Column("parameters"), Column("multiply-adds")]
    rows = [["input", "", _shape(model.spec.image_shape), "", ""]]
    for layer in layers:
        name = layer.name.partition(".")[2].removeprefix("network.") or layer.name
        rows.append([name, layer.kind, _shape(layer.shape), f"{layer.parameters:,}", f"{layer.multiply_adds:,}"])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    rows.append(["total", "", "", f"{parameters:,}", f"{sum(layer.multiply_adds for layer in layers):,}"])
    return columns, rows


def run_table(session: Mapping[str, Any], about: Mapping[str, Any]) -> Table:
    """Return what is known of a run, from its record, and of the predictions' origin, a row each."""
    git, versions = (part if isinstance(part, dict) else {} for part in (session.get("git"), session.get("versions")))
    command = session.get("command")
    found = {
        "checkpoint": about.get("checkpoint"),
        "SHA-256 of the checkpoint": about.get("checkpoint_sha256"),
        "dataset": about.get("dataset"),
        "model": session.get("model"),
        "seed": session.get("seed"),
        "started": session.get("started"),
        "command": " ".join(map(str, command[1:])) if isinstance(command, list) else None,
        "commit": git.get("commit"),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
    }
    rows = [[name, str(value)] for name, value in found.items() if value not in (None, "")]
    return [Column("what", text=True), Column("value", text=True)], rows


def metrics_table(tested: Mapping[str, Any]) -> Table:
    """Return the metrics of a task without parameters, and how well it reconstructs images; of maps, their results."""
    if tested.get("maps"):
        columns, rows, _ = map_table(read_map_results(tested["maps"]))
        return columns, rows
    rows = [[name, f"{value:.4g}", ""] for name, value in tested["metrics"].items()]
    error = tested.get("reconstruction_error")
    if error:
        rows.append(
            [
                "image, reconstructed: mean absolute error, levels",
                rounded(error["mae"], None),
                rounded(error["baseline"], None),
            ]
        )
    return [Column("metric", text=True), Column("value"), Column("mean baseline")], rows


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
