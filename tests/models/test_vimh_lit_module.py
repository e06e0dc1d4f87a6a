"""The LightningModule: what goes in, what is minimised, what is logged and what a checkpoint holds."""

import csv
import dataclasses

import numpy as np
import pytest
import torch

from src.data.dataset import images_to_float
from src.data.info import read_spec
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec, Origin
from src.data.vimh_dataset import VIMHDataset
from src.models.build import build_model, load_checkpoint
from src.models.heads.calibration import fit
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.spectral.config import SpectralConfig
from src.utils.errors import UserError
from tests import running

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=-2, max=6, step=0.5),
        ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log"),
        ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
        ParameterSpec(name="drive", min=0.5, max=0.5),  # fixed: no head
    ]
)
SPEC = DatasetSpec("t", Inputs((2, 12, 20)), SPACE)
EVERY = {
    "level": {"kind": "ordinal"},
    "cutoff": {"kind": "mixture"},
    "wave": {"loss": {"_target_": "weighted_multi", "losses": [{"loss": "focal"}, {"loss": "dice"}]}},
}


def model_of(seed=0, **changes):
    config = running.plain("train", "model") | changes
    torch.manual_seed(seed)
    return build_model(config, SPEC)


def same(one, other):
    """Tell whether two state dicts are alike, bit by bit; what was never measured is NaN in both."""
    return list(one) == list(other) and all(
        np.array_equal(value, other[name], equal_nan=value.is_floating_point()) for name, value in one.items()
    )


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


def test_batches_of_unequal_size_count_by_their_examples():
    # float64: in float32 a convolution sums batches of 1, 9 and 10 in orders that differ between processors
    model, batch = model_of(heads=EVERY).eval().double(), batch_of(10)
    model.train_terms.set_dtype(torch.float64)
    batch = {name: value.double() for name, value in batch.items()}
    model.training_step(batch, 0)
    whole = model.train_terms.compute()
    model.train_terms.reset()
    for part in (slice(0, 1), slice(1, 10)):
        model.training_step({name: one[part] for name, one in batch.items()}, 0)
    parts = model.train_terms.compute()
    assert list(whole) == ["", "level", "cutoff", "wave", "wave/focal", "wave/dice"]
    assert {name: one.item() for name, one in parts.items()} == pytest.approx(
        {name: one.item() for name, one in whole.items()}, rel=1e-12
    )


@pytest.mark.parametrize("balance", ["weights", "gradient", "uncertainty"])
def test_every_weight_gets_a_finite_gradient(balance):
    model = model_of(auxiliary="concat", balance=balance)
    model.training_step(batch_of(), 0).backward()
    for name, parameter in model.named_parameters():
        assert torch.isfinite(parameter.grad).all() and parameter.grad.any(), name


def test_weights_are_a_function_of_the_seed():
    one, again, other = model_of(), model_of(), model_of(seed=1)
    assert same(one.state_dict(), again.state_dict())
    assert not torch.equal(one.heads.linear.weight, other.heads.linear.weight)


def test_what_heads_weigh_and_how_they_are_judged_leaves_the_first_weights_alone():
    other = model_of(heads={"default": {"weight": 5, "loss": "huber"}})
    assert same(model_of().state_dict(), other.state_dict())


@pytest.mark.parametrize("auxiliary", ["concat", "film"])
def test_auxiliary_inputs_are_used_and_required(auxiliary):
    model, batch = model_of(auxiliary=auxiliary).eval(), batch_of()
    with torch.no_grad():
        model.auxiliary.mlp[-1].weight += 0.1 * torch.randn_like(model.auxiliary.mlp[-1].weight)  # film's begins at 0
    values = model.values(batch["image"], batch["scale"])
    assert not torch.allclose(values, model.values(batch["image"], batch["scale"] + 10))
    with pytest.raises(ValueError, match="pass scale"):
        model(batch["image"])


def test_without_auxiliary_inputs_the_scale_changes_nothing():
    model, batch = model_of().eval(), batch_of()
    assert torch.equal(model.values(batch["image"], batch["scale"]), model.values(batch["image"]))


def test_film_starts_as_the_model_without_auxiliary_inputs_and_concat_adds_features():
    batch = batch_of()
    bare, film, concat = (model_of(auxiliary=join).eval() for join in (None, "film", "concat"))
    features = bare.features(batch["image"])
    assert torch.equal(film.features(batch["image"], batch["scale"]), features)
    assert torch.equal(concat.features(batch["image"], batch["scale"])[:, : features.shape[1]], features)
    assert concat.heads.linear.in_features == concat.auxiliary.feature_dim > features.shape[1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"auxiliary": True}, "model.auxiliary: True given; give concat, film"),
        ({"balance": "gradnorm"}, "model.balance: 'gradnorm' given; give one of weights"),
        ({"heads": {"default": {"loss": "crps"}}}, "model.heads.level.loss: loss crps does not suit a regression head"),
    ],
)
def test_what_a_model_cannot_be_is_one_line(given, words):
    with pytest.raises(UserError) as raised:
        model_of(**given)
    assert words in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("balance", ["weights", "gradient"])  # EVERY holds likelihoods, which cannot be learned
def test_under_autocast_the_loss_stays_in_float32_and_trains(balance):
    model, batch = model_of(heads=EVERY, balance=balance), batch_of()
    exact = model.training_step(batch, 0)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.features(batch["image"]).dtype == torch.bfloat16  # else this would test nothing
        loss = model.training_step(batch, 1)
        model.validation_step(batch, 0)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(exact.item(), rel=0.02)
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    assert all(torch.isfinite(value) for value in model.heads.results("val").values())


def test_channels_last_is_the_same_model_laid_out_otherwise():
    plain, last = model_of().eval(), model_of(channels_last=True).eval()
    assert same(plain.state_dict(), last.state_dict())
    kernels = [module.weight for module in last.network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
    assert not kernels[1].is_contiguous()
    batch = batch_of()
    torch.testing.assert_close(plain.features(batch["image"]), last.features(batch["image"]), rtol=1e-4, atol=1e-5)
    plain.load_state_dict(last.state_dict())
    torch.testing.assert_close(plain.values(batch["image"]), last.values(batch["image"]), rtol=1e-4, atol=1e-4)


@pytest.mark.long
def test_compiling_waits_for_training_and_leaves_the_names_of_the_weights():
    model = model_of(compile=True)
    names = list(model.state_dict())
    model.setup("test")
    assert model.network._compiled_call_impl is None
    model.setup("fit")
    assert model.network._compiled_call_impl is not None
    assert list(model.state_dict()) == names == list(model_of().state_dict())


@pytest.mark.slow
def test_a_compiled_run_and_a_plain_one_exchange_checkpoints(data_root, saw, tmp_path):
    """One epoch each way: the same keys, nearly the same weights, and either goes on as the other."""
    finals = {}
    for name, compiled in (("plain", "false"), ("compiled", "true")):
        given = (f"model.compile={compiled}", "trainer.max_epochs=1", "logger=none", "data.batch_size=34")
        running.run("train", data_root, tmp_path / name, *given)
        finals[name] = torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)
    plain, compiled = finals["plain"]["state_dict"], finals["compiled"]["state_dict"]
    assert list(plain) == list(compiled)
    for name, value in plain.items():
        torch.testing.assert_close(value, compiled[name], rtol=1e-2, atol=1e-3)
    batch = VIMHDataset(saw, "test").__getitems__(range(13))
    values = []
    for name in finals:
        model = load_checkpoint(tmp_path / name / "checkpoints/last.ckpt")
        values.append(model.values(images_to_float(batch["image"])).detach())
    torch.testing.assert_close(*values, rtol=1e-2, atol=1e-2)
    for name, other in (("plain", "true"), ("compiled", "false")):
        goes_on = (f"ckpt_path={tmp_path / name / 'checkpoints/last.ckpt'}", f"model.compile={other}")
        running.run("train", data_root, tmp_path / f"{name}_on", *goes_on, "trainer.max_epochs=2", "logger=none")
        last = torch.load(tmp_path / f"{name}_on/checkpoints/last.ckpt", weights_only=True)
        assert last["epoch"] == 1 and list(last["state_dict"]) == list(plain)


@pytest.mark.parametrize("balance", ["weights", "uncertainty"])
@pytest.mark.parametrize("batch_size", [17, 34])
def test_training_logs_each_head_and_each_term_as_computed_by_hand(data_root, saw, tmp_path, balance, batch_size):
    """At a rate of 0 an epoch is one pass of unchanged weights over all 102 sounds, in batches of any size."""
    terms = "[{loss: l1, weight: 0.5, name: near}, {loss: l2, weight: 3, name: far}]"
    heads = (
        f"+model.heads.note_velocity={{weight: 2, loss: {{_target_: weighted_multi, losses: {terms}}}}}",
        "+model.heads.log10_decay_time={kind: classification}",
    )
    still = ("model.optimizer.lr=0", "trainer.max_epochs=1", "logger=csv", f"data.batch_size={batch_size}")
    running.run("train", data_root, tmp_path, *heads, *still, f"model.balance={balance}")
    model, dataset = load_checkpoint(tmp_path / "checkpoints/last.ckpt"), VIMHDataset(saw, "train")
    batch = dataset.__getitems__(range(len(dataset)))
    with torch.no_grad():
        raw = {name: one.double().numpy() for name, one in model(images_to_float(batch["image"])).items()}
    target = batch["target"].double().numpy()
    error = np.abs(1.2 / (1 + np.exp(-raw["note_velocity"][:, 0])) - 0.1 - target[:, 0])
    classes = np.floor((target[:, 1] * 2.3) / 0.1 + 0.5).astype(int)  # -2 .. 0.3 in steps of 0.1
    logits = raw["log10_decay_time"]
    cost = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(classes)), classes]
    expected = {
        "train/loss/note_velocity/near": error.mean(),
        "train/loss/note_velocity/far": (error**2).mean(),
        "train/loss/note_velocity": (0.5 * error + 3 * error**2).mean(),
        "train/loss/log10_decay_time": cost.mean(),
    }
    expected["train/loss"] = 2 * expected["train/loss/note_velocity"] + expected["train/loss/log10_decay_time"]
    with (tmp_path / "csv/metrics.csv").open() as file:
        (row,) = [row for row in csv.DictReader(file) if row["train/loss"]]
    assert len(error) == 102
    assert {name: float(row[name]) for name in row if name[:6] == "train/"} == pytest.approx(expected, rel=1e-4)


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


def test_the_checkpoint_holds_the_calibration_of_its_own_validation(trained, saw):
    """That of the errors on the unit scale, sample by sample; a regression head has one typical error for all."""
    checkpoint = torch.load(trained.best, weights_only=True)
    model, dataset = load_checkpoint(trained.best), VIMHDataset(saw, "val")
    batch = dataset.__getitems__(range(len(dataset)))
    with torch.no_grad():
        outputs = model(images_to_float(batch["image"]))
        found = model.heads.estimates(outputs)
    values, truth = found.values.double().numpy(), np.load(saw / "val_params.npy").astype(np.float64)
    space = dataset.spec.space
    error = space.normalize(values) - space.normalize(truth)
    samples = np.stack([error, 0 * error, 0 * error + 1 / (np.array(space.num_classes) - 1)], axis=2)
    for name, expected in fit(torch.from_numpy(samples)).items():
        np.testing.assert_allclose(
            checkpoint["state_dict"][f"heads.calibration.{name}"], expected, rtol=1e-3, atol=1e-6
        )
    assert model.heads.calibration.samples == 13 and (found.uncertainties.diff(dim=0) == 0).all()
    inside = (found.low_68.numpy() <= truth) & (truth <= found.high_68.numpy())
    assert (inside.sum(axis=0) == 10).all()  # the ceil(0.68 * 14)-th smallest error is the bound
    rmse = np.sqrt(((values - truth) ** 2).mean(axis=0))
    with (trained.output / "csv/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/nmae"]]
    best = min(rows, key=lambda row: float(row["val/nmae"]))
    assert [float(best[f"val/{name}_rmse"]) for name in model.spec.space.names] == pytest.approx(rmse, rel=1e-5)


@pytest.mark.parametrize("callbacks", ["default", "[default,ema]"])
def test_a_checkpoint_from_before_calibration_loads_and_is_calibrated_when_it_is_gone_on_from(
    data_root, saw, tmp_path, caplog, callbacks
):
    """It holds the RMS errors of its last validation, which stay the typical errors of its regression heads."""
    given = (f"callbacks={callbacks}", "logger=none", "test=false")
    running.run("train", data_root, tmp_path / "new", *given, "trainer.max_epochs=1")
    checkpoint = torch.load(tmp_path / "new/checkpoints/last.ckpt", weights_only=True)
    for key in ("state_dict", "current_model_state"):
        state = checkpoint.get(key, {})
        for name in [name for name in state if ".calibration." in name]:
            del state[name]
        if state:
            state["heads.residuals"] = torch.tensor([4.0, 0.125])
    old = tmp_path / "old.ckpt"
    torch.save(checkpoint, old)
    model = load_checkpoint(old)
    assert "the checkpoint is from a version without calibration" in caplog.text
    sounds = VIMHDataset(saw, "test").__getitems__(range(13))
    found = model.predict(images_to_float(sounds["image"])).uncertainties.detach()
    np.testing.assert_allclose(found, np.tile([4.0, 0.125], (13, 1)), rtol=1e-5)
    running.run("train", data_root, tmp_path / "on", *given, "trainer.max_epochs=2", f"ckpt_path={old}")
    last = torch.load(tmp_path / "on/checkpoints/last.ckpt", weights_only=True)
    assert last["epoch"] == 1 and last["state_dict"]["heads.calibration.samples"] == 13


def test_predict_gives_values_uncertainties_and_intervals_before_any_validation_as_well():
    model, batch = model_of(heads=EVERY).eval(), batch_of()
    found = model.predict(batch["image"], batch["scale"])
    assert torch.equal(found.values, model.values(batch["image"]))
    level, cutoff = found.uncertainties[:, 0], found.uncertainties[:, 1]
    assert (level > 0).all() and (cutoff > 0).all()
    assert model_of().predict(batch["image"]).uncertainties[:, :2].isnan().all()  # a number alone: nothing is measured
    for low, high in ((found.low_68, found.high_68), (found.low_90, found.high_90)):
        assert (low[:, :2] <= found.values[:, :2]).all() and (found.values[:, :2] <= high[:, :2]).all()
        assert (low[:, :2] >= torch.tensor([-2, 50])).all() and (
            high[:, :2] <= torch.tensor([6, 5000]) * 1.000001
        ).all()


def range_of(**spectral):
    stft = running.plain("train", "spectral")
    spectral = SpectralConfig.model_validate(stft | spectral) if spectral else None
    return dataclasses.replace(SPEC, origin=Origin(spectral=spectral))


def test_auxiliary_inputs_are_scaled_by_the_range_of_the_datasets_images():
    """-1 at the floor and 1 at the ceiling: what the network sees is the same whatever the range is."""
    config = running.plain("train", "model") | {"auxiliary": "concat"}
    models = []
    for spec in (range_of(floor_db=-100.0, ceil_db=20.0), range_of(floor_db=-60.0, ceil_db=0.0), range_of()):
        torch.manual_seed(0)
        models.append(build_model(config, spec).eval())
    image = batch_of()["image"]
    shares = torch.rand(len(image), 2)
    wide, narrow, default = models
    expected = default.values(image, -80 + 80 * shares)
    torch.testing.assert_close(wide.values(image, -100 + 120 * shares), expected)
    torch.testing.assert_close(narrow.values(image, -60 + 60 * shares), expected)


def test_a_checkpoint_without_a_range_keeps_the_one_that_it_was_trained_with():
    config = running.plain("train", "model") | {"auxiliary": "concat"}
    model = build_model(config, range_of(floor_db=-100.0, ceil_db=20.0))
    state = model.state_dict()
    assert state.pop("range_db").tolist() == [-100, 20]
    model.load_state_dict(state)
    assert model.range_db.tolist() == [-80, 0]


@pytest.mark.parametrize("monitor", ["val/note_velocity_mae", "val/loss", "train/loss", "train/loss/note_velocity"])
def test_plateau_follows_the_metric_that_the_run_selects_on(data_root, saw, tmp_path, monitor):
    given = ("scheduler=plateau", f"monitor={monitor}", "trainer.max_epochs=3", "logger=csv", "test=false")
    running.run("train", data_root, tmp_path, *given)
    with (tmp_path / "csv/metrics.csv").open() as file:
        values = [float(row[monitor]) for row in csv.DictReader(file) if row[monitor]]
    last = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    state = last["lr_schedulers"][0]
    assert state["monitor"] == monitor and state["best"] == pytest.approx(min(values), rel=1e-6)


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
