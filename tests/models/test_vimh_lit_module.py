"""The LightningModule: what goes in, what is minimised, what is logged and what a checkpoint holds."""

import csv

import numpy as np
import pytest
import torch

from src.data.spec import DatasetSpec, read_spec
from src.data.vimh_dataset import VIMHDataset, images_to_float
from src.models.build import build_model, load_checkpoint
from src.synth.parameters import ParameterSpace, ParameterSpec
from tests import running

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=-2, max=6, step=0.5),
        ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log"),
        ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
        ParameterSpec(name="drive", min=0.5, max=0.5),  # fixed: no head
    ]
)
SPEC = DatasetSpec("t", (2, 12, 20), SPACE)


def model_of(seed=0, **changes):
    config = running.plain("train", "model") | changes
    torch.manual_seed(seed)
    return build_model(config, SPEC)


def batch_of(count=8):
    torch.manual_seed(1)
    return {
        "image": torch.rand(count, 2, 12, 20),
        "target": torch.rand(count, 3),
        "scale": torch.rand(count, 2) * 40 - 60,
    }


def test_outputs_are_one_head_a_varying_parameter():
    model, batch = model_of(), batch_of()
    outputs = model(batch["image"])
    assert {name: out.shape for name, out in outputs.items()} == {"level": (8, 1), "cutoff": (8, 1), "wave": (8, 4)}
    values = model.values(batch["image"])
    assert values.shape == (8, 3)
    assert (values >= torch.tensor(SPACE.min)).all() and (values <= torch.tensor(SPACE.max)).all()


def test_training_minimises_the_weighted_sum_of_the_heads_losses():
    model = model_of(heads={"default": {"weight": 1}, "level": {"weight": 2, "loss": "l2"}, "wave": {"weight": 0.25}})
    model.eval()
    batch = batch_of()
    outputs = {name: out.detach().double().numpy() for name, out in model(batch["image"]).items()}
    target = batch["target"].double().numpy()
    unit = {name: 1.2 / (1 + np.exp(-outputs[name][:, 0])) - 0.1 for name in ("level", "cutoff")}
    classes = np.floor(3 * target[:, 2] + 0.5).astype(int)
    likelihood = np.exp(outputs["wave"]) / np.exp(outputs["wave"]).sum(axis=1, keepdims=True)
    expected = 2 * ((unit["level"] - target[:, 0]) ** 2).mean() + np.abs(unit["cutoff"] - target[:, 1]).mean()
    expected -= 0.25 * np.log(likelihood[np.arange(8), classes]).mean()
    assert model.training_step(batch, 0).item() == pytest.approx(expected, rel=1e-5)


def test_every_weight_gets_a_finite_gradient():
    model = model_of(auxiliary=True)
    model.training_step(batch_of(), 0).backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.any(), name


def test_weights_are_a_function_of_the_seed():
    one, same, other = model_of(), model_of(), model_of(seed=1)
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in one.state_dict().items())
    assert not torch.equal(one.heads.linear.weight, other.heads.linear.weight)


def test_what_heads_weigh_and_how_they_are_judged_leaves_the_first_weights_alone():
    one = model_of().state_dict()
    other = model_of(heads={"default": {"weight": 5, "loss": "huber"}}).state_dict()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_auxiliary_inputs_are_used_and_required():
    model, batch = model_of(auxiliary=True).eval(), batch_of()
    values = model.values(batch["image"], batch["scale"])
    assert not torch.allclose(values, model.values(batch["image"], batch["scale"] + 10))
    with pytest.raises(ValueError, match="pass scale"):
        model(batch["image"])


def test_without_auxiliary_inputs_the_scale_changes_nothing():
    model, batch = model_of().eval(), batch_of()
    assert torch.equal(model.values(batch["image"], batch["scale"]), model.values(batch["image"]))


def test_logged_figures_are_those_of_the_checkpoint_on_the_validation_split(trained, saw):
    """The best checkpoint, predicting one sample at a time, judged by numpy."""
    model, dataset = load_checkpoint(trained.best), VIMHDataset(saw, "val")
    with torch.no_grad():
        values = np.concatenate([model.values(images_to_float(sample["image"][None])) for sample in dataset])
    truth, space = np.load(saw / "val_params.npy").astype(np.float64), dataset.spec.space
    error = np.abs(values - truth).mean(axis=0)
    assert trained.score == pytest.approx(np.mean(error / (space.max - space.min)), rel=1e-5)
    with (trained.output / "csv/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/nmae"]]
    best = min(rows, key=lambda row: float(row["val/nmae"]))
    assert float(best["val/nmae"]) == trained.score
    for at, name in enumerate(space.names):
        assert float(best[f"val/{name}_mae"]) == pytest.approx(error[at], rel=1e-5)
        hits = space.to_class(values)[:, at] == space.to_class(truth)[:, at]
        assert float(best[f"val/{name}_acc"]) == pytest.approx(hits.mean())
    assert float(best["val/loss"]) == pytest.approx(2 * trained.score, rel=1e-5)  # two L1 heads on [0, 1]


def test_monitorable_lists_what_is_logged(trained):
    with (trained.output / "csv/metrics.csv").open() as file:
        columns = set(next(csv.reader(file)))
    assert set(load_checkpoint(trained.best).monitorable) == {name for name in columns if name[:4] in ("val/", "trai")}


def test_checkpoint_is_plain_data_and_holds_config_spec_and_settings(trained, saw):
    checkpoint = torch.load(trained.best, map_location="cpu", weights_only=True)
    assert checkpoint["model_config"] == running.plain("train", "model")
    assert DatasetSpec.from_dict(checkpoint["dataset_spec"]) == read_spec(saw)
    settings = {"labels": "exact", "seed": 0, "val_fraction": 0.1, "eval_batch_size": 512}
    assert checkpoint["data_settings"] == settings
    assert set(checkpoint["state_dict"]) == set(load_checkpoint(trained.best).state_dict())
