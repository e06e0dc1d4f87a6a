"""What a checkpoint file says of itself, as tables; nothing is built from it."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from src.data.spec import DatasetSpec
from src.models.checkpoint_file import load_plain
from src.models.checkpoint_schema import require_contents, require_plain
from src.models.heads.multi_head import head_configs
from src.utils.errors import UserError, shown
from src.utils.plain import flatten
from src.utils.table import Column, show

_MOST = 5000  # values of the parts that nothing else checks: metrics of 255 parameters
_CALIBRATION = "heads.calibration."
_KEPT = ("range_db", "running_mean", "running_var", "num_batches_tracked")  # ends of names of what is not learned

_WHOLE_RANGE = 1e5  # a factor of an interval that is the whole range, since the sounds were too few

Rows = list[list[str]]


def read_card(path: Path) -> dict[str, Any]:
    """Read a checkpoint as tensors and plain containers; a UserError is one line that says what is wrong with it."""
    checkpoint = load_plain(path)
    try:
        require_contents(checkpoint)
        for key in ("epoch", "global_step", "pytorch-lightning_version", "run", "metrics"):
            require_plain(checkpoint.get(key), key, _MOST)
        for key in ("run", "metrics"):
            if not isinstance(checkpoint.get(key, {}), dict):
                raise UserError(f"{key}: a {type(checkpoint[key]).__name__} given; a dict is needed")
        for name, config in _heads(checkpoint).items():
            if not isinstance(config, dict | None):
                raise UserError(f"model_config.heads.{name}: {shown(config)} given; a dict is needed")
    except UserError as error:
        verb = "" if str(error).startswith("lacks ") else "holds "
        raise UserError(f"ckpt_path: {path} {verb}{error}") from error
    return checkpoint


def show_card(checkpoint: Mapping[str, Any], session: Mapping[str, Any], size: int) -> None:
    """Print a checkpoint of `size` bytes; `session` is the last entry of its run's record, or empty."""
    spec = DatasetSpec.from_dict(checkpoint["dataset_spec"])
    show(_pairs("made"), made_rows(checkpoint, session, size))
    show(_pairs("dataset"), dataset_rows(spec))
    if spec.targets is not None:
        show(*parameter_table(checkpoint, spec))
    show(_pairs("model"), model_rows(checkpoint))
    calibration = calibration_table(checkpoint, spec)
    if calibration:
        samples = int(checkpoint["state_dict"][f"{_CALIBRATION}samples"])
        note = f"calibration: fitted to {samples:,} validation sounds; see docs/uncertainty.md"
        if any("range" in row for row in calibration[1]):
            note += "\nrange: the whole range of the parameter, since the sounds are too few"
        show(*calibration, caption=note)


def made_rows(checkpoint: Mapping[str, Any], session: Mapping[str, Any], size: int) -> Rows:
    """Return when, how and from which code a checkpoint was made, and how good it is."""
    run, metrics = checkpoint.get("run", {}), checkpoint.get("metrics", {})
    epoch, step = checkpoint.get("epoch"), checkpoint.get("global_step")
    rows = [["file", f"{size / 1e6:.2f} MB, by Lightning {checkpoint.get('pytorch-lightning_version', 'unknown')}"]]
    if isinstance(epoch, int) and isinstance(step, int):
        rows.append(["trained", f"{epoch + 1:,} epochs, {step:,} steps"])
    for name in ("val/nmae", "val/loss", "train/loss"):
        if isinstance(metrics.get(name), float):
            rows.append([name, f"{metrics[name]:.4g}"])
    dirty = " with changes" if run.get("dirty") else ""
    rows += [["commit", f"{run.get('commit') or 'unknown'}{dirty}"], ["seed", str(run.get("seed", "unknown"))]]
    for key in ("name", "started", "ended", "outcome"):
        if session.get(key):
            rows.append([f"run {key}", str(session[key])])
    if isinstance(session.get("versions"), dict):
        rows.append(["versions", ", ".join(f"{name} {number}" for name, number in session["versions"].items())])
    if isinstance(session.get("command"), list):
        rows.append(["command", shlex.join(["python", *map(str, session["command"][1:])])])
    return rows


def dataset_rows(spec: DatasetSpec) -> Rows:
    """Return what a model was trained on."""
    origin = spec.origin
    rows = [["name", spec.name], ["images", f"{' x '.join(map(str, spec.image_shape))} (channels, height, width)"]]
    rows += [[split, f"{count:,} samples"] for split, count in spec.counts.items()]
    rows += [[f"SHA-256 {name}", digest] for name, digest in spec.sha256.items() if not name.endswith(".npy")]
    if origin.sample_rate and origin.duration:
        rows.append(["sounds", f"{origin.synth_type}, {origin.duration:g} s at {origin.sample_rate:g} Hz"])
    if origin.spectral is not None:
        settings = origin.spectral.model_dump(mode="json", exclude={"type", "height", "width"})
        rows.append(["front end", f"{origin.spectral.type}: {_words(settings)}"])
    if spec.targets is not None and spec.targets.fixed:
        rows.append(["fixed", _words(spec.targets.fixed)])
    return rows


def parameter_table(checkpoint: Mapping[str, Any], spec: DatasetSpec) -> tuple[list[Column], Rows]:
    """Return each parameter's range, head and validation error."""
    heads = head_configs(spec.space, _heads(checkpoint))
    metrics = checkpoint.get("metrics", {})
    columns = [Column("parameter", text=True), Column("range", text=True), Column("unit", text=True)]
    columns += [Column("head", text=True), Column("weight", drop=2), Column("val MAE"), Column("loss", True, 1)]
    rows = []
    for parameter in spec.space:
        head, error = heads[parameter.name], metrics.get(f"val/{parameter.name}_mae")
        kind = "gaussian" if head.variance else head.kind
        shown_error = f"{error:.4g}" if isinstance(error, float) else ""
        loss = head.loss if isinstance(head.loss, str) else json.dumps(head.loss) if head.loss else "default"
        limits = parameter.describe_range(with_unit=False)
        rows.append([parameter.name, limits, parameter.unit, kind, f"{head.weight:g}", shown_error, loss])
    return columns, rows


def model_rows(checkpoint: Mapping[str, Any]) -> Rows:
    """Return the settings of a model, and the number of its weights."""
    weights = checkpoint["state_dict"]
    learned = {}
    for name, value in weights.items():
        if not name.startswith(_CALIBRATION) and not name.endswith(_KEPT):
            learned[name] = value.numel()
    network = sum(count for name, count in learned.items() if name.startswith("network."))
    total = sum(learned.values())
    rows = [["weights", f"{total:,}, of which {network:,} are the network's"]]
    settings = {key: value for key, value in checkpoint["model_config"].items() if key not in ("_target_", "heads")}
    rows += [[key, str(value)] for key, value in flatten(settings, "")]
    return rows


def calibration_table(checkpoint: Mapping[str, Any], spec: DatasetSpec) -> tuple[list[Column], Rows] | None:
    """Return the buffers of src.models.heads.calibration.Calibration; None if a file does not have them."""
    weights, count = checkpoint["state_dict"], len(spec.space) if spec.targets else 0
    names = ("spread_power", "spread_weight", "width_weight", "scale", "factors", "temperature")
    found = [weights.get(f"{_CALIBRATION}{name}") for name in (*names, "samples")]
    if found[0] is None:
        found[0] = torch.ones(count)  # of a file of an older version
    if not count or any(value is None for value in found) or found[-1].numel() != 1:
        return None
    if any(value.ndim < 1 or len(value) != count for value in found[:-1]) or found[4].shape[1:] != (2,):
        return None
    columns = [Column("parameter", text=True), *(Column(name.replace("_", " "), drop=1) for name in names[:4])]
    columns += [Column("68 % factor"), Column("90 % factor")]
    has_categories = any(parameter.kind == "categorical" for parameter in spec.space)
    columns += [Column("temperature", drop=1)] * has_categories
    numbers = torch.cat([*(value.double().reshape(count, -1) for value in found[:-1])], dim=1)
    rows = []
    for parameter, row in zip(spec.space, numbers.tolist(), strict=True):
        cells = [f"{number:.3g}" for number in row[:4]]
        cells += [f"{number:.3g}" if number < _WHOLE_RANGE else "range" for number in row[4:6]]
        cells += [f"{row[6]:.3g}" if parameter.kind == "categorical" else ""] * has_categories
        rows.append([parameter.name, *cells])
    return columns, rows


def _heads(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    configs = checkpoint["model_config"].get("heads")
    return configs if isinstance(configs, dict) else {}


def _pairs(heading: str) -> list[Column]:
    return [Column(heading, text=True), Column("", text=True)]


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in settings.items())
