"""Training on sound: its loss and gradients, its schedule, what it learns without labels, and exact resumption."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from src.data.info import read_spec
from src.data.origin import source_of
from src.data.spec import DatasetSpec
from src.data.vimh_dataset import VIMHDataset
from src.models.build import load_checkpoint
from src.models.tasks.render import RenderTask
from src.models.tasks.renderer import Renderer
from src.models.trust import require_allowed
from src.synth.saw_moog import SAW_MOOG
from src.utils.errors import UserError
from tests import running

HEADS = {"default": {"kind": "regression"}}
LEVEL = 1 / 255
WITHOUT_TWIN = replace(SAW_MOOG, differentiable=None)


def task_of(saw, heads=HEADS, **options):
    task = RenderTask(4, read_spec(saw), heads, **options)
    task.prepare(())
    return task


def batch_of(saw, count=8):
    batch = VIMHDataset(saw, "train").__getitems__(range(count))
    return {**batch, "image": batch["image"] / 255.0}


def outputs_at(task, unit):
    """Raw outputs of regression heads at labels (B, P): the inverse of the stretched sigmoid."""
    raw = ((unit.double() + 0.1) / 1.2).logit()
    return {name: raw[:, [at]].clone().requires_grad_() for at, name in enumerate(task.space.names)}


def test_the_sound_of_the_labels_is_the_image_but_for_its_rounding(saw):
    task, batch = task_of(saw), batch_of(saw)
    assert task.measure_added(outputs_at(task, batch["target"]), batch) < 0.51 * LEVEL


def test_the_loss_is_the_mean_difference_of_the_images_that_the_generator_renders(saw):
    task, batch = task_of(saw), batch_of(saw)
    unit = (batch["target"] + 0.05).clamp(0, 1)
    source = source_of(read_spec(saw))
    images, _ = source.float_images(task.space.denormalize(unit.numpy()))
    wanted = np.abs(images.astype(np.float64) - batch["image"].numpy()).mean()
    assert task.measure_added(outputs_at(task, unit), batch).item() == pytest.approx(wanted, rel=1e-3)


def test_gradients_equal_finite_differences(saw):
    task, batch = task_of(saw).double(), batch_of(saw, 2)
    task.renderer.config = task.renderer.config.model_copy(update={"settings": {"dtype": torch.float64}})
    raw = outputs_at(task, (0.8 * batch["target"] + 0.15))
    names = list(raw)

    def loss(*columns):
        return task.measure_added(dict(zip(names, columns, strict=True)), {**batch, "image": batch["image"].double()})

    assert torch.autograd.gradcheck(loss, tuple(raw.values()), eps=1e-6, atol=1e-7, rtol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("loss", [None, {"_target_": "multi_scale_spectral", "max_n_fft": 256, "num_scales": 1}])
def test_sound_leads_near_starts_to_the_truth(saw, loss):
    task, batch = task_of(saw, loss=loss), batch_of(saw, 4)
    start = (batch["target"] + 0.06 * torch.tensor([1.0, -1.0])).clamp(0.0, 1.0)
    raw = outputs_at(task, start)
    before = task.measure_added(raw, batch).item()
    optimizer = torch.optim.Adam(raw.values(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        task.measure_added(raw, batch).backward()
        optimizer.step()
    assert task.measure_added(raw, batch).item() < 0.3 * before
    unit = torch.from_numpy(task.space.normalize(task.values(raw).detach().numpy()))
    assert (unit - batch["target"]).abs().mean(dim=0).max() < 0.4 * 0.06


def test_a_prediction_beyond_its_range_is_led_back(saw):
    task, batch = task_of(saw), batch_of(saw, 2)
    raw = {name: torch.full((2, 1), 3.0, requires_grad=True) for name in task.space.names}  # beyond the upper end
    task.measure_added(raw, {**batch, "image": 0.5 * batch["image"]}).backward()
    assert (raw["note_velocity"].grad > 0).all()  # a step lowers the level
    raw["note_velocity"].grad = None
    task.measure_added(raw, {**batch, "image": torch.ones_like(batch["image"])}).backward()
    assert (raw["note_velocity"].grad == 0).all()  # it would be louder than its range allows


@pytest.mark.parametrize("kind", ["classification", "ordinal", "coral", "corn", "mixture", "evidential"])
def test_every_kind_of_head_learns_from_sound(saw, kind):
    torch.manual_seed(0)
    task, batch = task_of(saw, {"default": {"kind": kind}}, labels=False), batch_of(saw, 2)
    features = torch.rand(2, 4, requires_grad=True)
    losses, _ = task.batch_losses(task(features), {"image": batch["image"]})
    task.total(losses, features).backward()
    assert features.grad.isfinite().all() and features.grad.any(dim=1).all()


def test_a_category_is_held_at_its_most_likely_value(saw):
    spec = read_spec(saw)
    plain = spec.to_dict()
    synth = plain["generator"]["config"]["synth"]["parameters"]
    synth["filter_enabled"] = {"values": ["off", "on"]}
    parameter = {
        "name": "filter_enabled",
        "min": 0,
        "max": 1,
        "step": 1,
        "kind": "categorical",
        "values": ["off", "on"],
    }
    plain["parameters"] = [one for one in plain["parameters"] if one["name"] != "filter_enabled"] + [parameter]
    order = {name: at for at, name in enumerate(synth)}
    plain["parameters"].sort(key=lambda one: order.get(one["name"], 99))
    task = RenderTask(4, DatasetSpec.from_dict(plain), HEADS, labels=False)
    task.prepare(())
    batch = batch_of(saw, 2)
    raw = {name: torch.zeros(2, head.num_outputs, requires_grad=True) for name, head in task.heads.items()}
    with torch.no_grad():
        raw["filter_enabled"][:, 0] = 1.0  # off, as in the dataset
    task.measure_added(raw, batch).backward()
    assert raw["filter_enabled"].grad is None or not raw["filter_enabled"].grad.any()
    assert raw["log10_decay_time"].grad.all()


@pytest.mark.parametrize("balance", ["gradient", "uncertainty"])
def test_a_balance_counts_the_sound_as_one_more_loss(saw, balance):
    torch.manual_seed(0)
    task, batch = task_of(saw, balance=balance, from_epoch=1), batch_of(saw, 4)
    for epoch in (0, 1):
        task.start_epoch(epoch)
        features = torch.rand(4, 4, requires_grad=True)
        losses, _ = task.batch_losses(task(features), batch)
        task.total(losses, features).backward()
        assert losses.shape == (3,) and features.grad.isfinite().all()
    if balance == "gradient":
        assert (task.balance.norms > 0).all()  # that of the sound counts from its first epoch on
    with pytest.raises(UserError, match="may be negative"):
        task_of(saw, balance="uncertainty", loss="si_sdr")


def test_a_head_of_weight_0_is_trained_by_neither_loss(saw):
    task, batch = task_of(saw, {**HEADS, "note_velocity": {"weight": 0}}, labels=False), batch_of(saw, 2)
    raw = outputs_at(task, 0.5 * batch["target"] + 0.2)
    task.measure_added(raw, batch).backward()
    assert not raw["note_velocity"].grad.any() and raw["log10_decay_time"].grad.any()
    assert task.trained.tolist() == [False, True] and task.trained_names == ["sound"]


def test_the_weight_rises_linearly_after_the_labels_epochs(saw):
    task = task_of(saw, weight=2.0, from_epoch=3, ramp_epochs=4)
    weights = []
    for epoch in range(9):
        task.start_epoch(epoch)
        weights.append(task.weights.tolist()[-1])
    assert weights == [0, 0, 0, 0.5, 1, 1.5, 2, 2, 2]
    batch = batch_of(saw, 2)
    raw = outputs_at(task, 0.5 * batch["target"] + 0.2)
    task.start_epoch(0)
    losses, terms = task.batch_losses(raw, batch)
    assert len(losses) == 3 and terms[2] > 0 and task.loss_names == [*task.space.names, "sound"]
    assert not losses[2].detach().requires_grad and task.trained_names == list(task.space.names)


def test_half_precision_outputs_are_rendered_in_float32(saw):
    task, batch = task_of(saw), batch_of(saw, 2)
    raw = {name: values.detach().bfloat16() for name, values in outputs_at(task, batch["target"]).items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = task.measure_added(raw, batch)
    assert loss.dtype == torch.float32 and loss.isfinite()


def test_images_with_a_scale_of_their_own_are_compared_on_the_targets_scale(saw):
    spec = read_spec(saw)
    source = source_of(spec)
    front_end = type(source.front_end)(
        source.front_end.config.model_copy(update={"image_scaling": "per_sample"}), 8000, 8000
    )
    renderer = Renderer(replace(source, front_end=front_end))
    values = torch.tensor([[80.0, -1.0], [120.0, 0.0]])
    quieter = values.clone()
    quieter[:, 0] /= 2
    louder, scale = front_end(renderer.sounds(values))
    difference = renderer.images(quieter, scale)[:, 0] - louder[:, 0]
    wanted = -20 * np.log10(2) / (scale[:, 1] - scale[:, 0])
    # the quietest cells are rounding errors of the sound, not the sound
    np.testing.assert_allclose(difference.amax(dim=(1, 2)).numpy(), wanted.numpy(), rtol=0.2)
    np.testing.assert_allclose(difference.flatten(1).median(dim=1).values.numpy(), wanted.numpy(), rtol=1e-3)


def test_data_without_labels_trains_and_reports_the_sound_alone(saw):
    task, batch = task_of(saw, labels=False), batch_of(saw)
    del batch["target"]
    losses, terms = task.batch_losses(outputs_at(task, torch.full((8, 2), 0.5)), batch)
    assert losses.shape == terms.shape == (1,) and losses.requires_grad
    task.observe("val", outputs_at(task, torch.full((8, 2), 0.5)), batch)
    results = task.results("val")
    assert list(results) == ["sound_loss"] and float(results["sound_loss"]) == pytest.approx(losses.item())
    with pytest.raises(UserError, match="has no labels; give loss=render_only"):
        task_of(saw).batch_losses(outputs_at(task, torch.full((8, 2), 0.5)), batch)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"weight": 0}, "model.task.weight: 0 given"),
        ({"from_epoch": -1}, "model.task.from_epoch: -1 given"),
        ({"ramp_epochs": 0}, "model.task.ramp_epochs: 0 given"),
        ({"labels": False, "from_epoch": 2}, "nothing else is trained before"),
        ({"labels": False, "loss": "multi_scale_spectral"}, "render_only has none"),
        ({"loss": "cross_entropy"}, "takes no waveforms"),
        ({"loss": "multi_scale_spectal"}, "multi_scale_spectral"),
    ],
)
def test_invalid_options_are_one_line(saw, options, cause):
    with pytest.raises(UserError, match=cause) as raised:
        RenderTask(4, read_spec(saw), HEADS, **options)
    assert "\n" not in str(raised.value)


def test_a_sound_that_cannot_be_rendered_is_one_line(saw):
    spec, source = read_spec(saw), source_of(read_spec(saw))
    synth = replace(source.synth, voice=WITHOUT_TWIN)
    with pytest.raises(UserError, match="saw_moog has no differentiable twin"):
        Renderer(replace(source, synth=synth))
    without = replace(spec, origin=replace(spec.origin, generator=None))
    with pytest.raises(UserError, match="no recipe"):
        RenderTask(4, without, HEADS).prepare(())
    plain = spec.to_dict()
    plain["generator"]["config"]["synth"]["voice"] = "somebody.VOICE"
    with pytest.raises(UserError, match="trust="):
        RenderTask(4, DatasetSpec.from_dict(plain), HEADS).prepare(())


def test_a_voice_without_a_twin_ends_the_run_before_its_dataset_is_made(caplog, tmp_path):
    voice = "synth.voice=tests.models.tasks.test_render.WITHOUT_TWIN"
    line = running.fault(caplog, "train", tmp_path / "data", tmp_path, voice, "loss=render")
    assert line.startswith("voice saw_moog has no differentiable twin") and not (tmp_path / "data").exists()


def test_data_without_a_recipe_ends_the_run_before_training(caplog, data_root, tmp_path):
    line = running.fault(caplog, "train", data_root, tmp_path, "data=digits", "loss=render", "heads=classification")
    assert line == "digits: its description has no recipe for its sounds"


QUICK = ("loss=render", "data.batch_size=51", "model.task.from_epoch=1", "model.task.ramp_epochs=2")


def test_a_run_logs_the_sound_beside_the_heads_and_its_checkpoint_predicts(data_root, tmp_path, saw):
    running.run("train", data_root, tmp_path, *QUICK)
    header = next(tmp_path.rglob("metrics.csv")).read_text().splitlines()[0].split(",")
    assert {"train/loss/sound", "val/sound_loss", "test/sound_loss", "val/note_velocity_mae"} <= set(header)
    model = load_checkpoint(tmp_path / "checkpoints/best.ckpt")
    assert isinstance(model.heads, RenderTask) and not model.heads.is_ready  # a prediction needs no synth
    assert model.values(torch.rand(1, 1, 32, 32)).shape == (1, 2)


@pytest.mark.parametrize("loss", ["os.system", {"_target_": "os.system"}, {"_target_": "l1", "loss": "os.system"}])
def test_a_checkpoint_may_name_only_listed_losses(loss):
    task = {"_target_": "src.models.tasks.render.RenderTask", "_partial_": True, "_recursive_": False}
    config = {"_target_": "src.models.vimh_lit_module.VIMHLitModule", "task": {**task, "loss": "multi_scale_spectral"}}
    require_allowed(config)
    with pytest.raises(UserError, match=r"os\.system"):
        require_allowed({**config, "task": {**task, "loss": loss}})


@pytest.mark.long
def test_a_resumed_run_is_bit_identical(data_root, tmp_path, saw):
    whole, first = tmp_path / "whole", tmp_path / "first"
    constant = ("scheduler=constant", "test=false", *QUICK)
    running.run("train", data_root, whole, *constant, "trainer.max_epochs=3")
    running.run("train", data_root, first, *constant, "trainer.max_epochs=1")
    last = first / "checkpoints/last.ckpt"
    running.run("train", data_root, tmp_path / "second", *constant, "trainer.max_epochs=3", f"ckpt_path={last}")
    ends = [torch.load(path / "checkpoints/last.ckpt", weights_only=True) for path in (whole, tmp_path / "second")]
    for name, value in ends[0]["state_dict"].items():
        assert torch.equal(value, ends[1]["state_dict"][name]), name
