"""TensorBoard's files, read back: curves, figures, the graph, and the table of runs."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from matplotlib import pyplot
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from src.callbacks import tensorboard_figures
from src.callbacks.tensorboard_figures import TensorBoardFigures
from src.models.build import build_model, load_checkpoint
from tests import running
from tests.test_configs import SPEC

EVERYTHING = {"images": 0, "scalars": 0, "tensors": 0}


def events_of(output):
    return EventAccumulator(str(output / "tensorboard"), EVERYTHING).Reload()


@pytest.mark.long
def test_each_figure_is_a_picture_of_the_last_epoch_and_the_graph_names_the_layers(trained):
    events = events_of(trained.output)
    assert set(events.Tags()["images"]) == {"val/predictions", "val/errors"}
    for tag in ("val/predictions", "val/errors"):
        (event,) = events.Images(tag)
        picture = Image.open(io.BytesIO(event.encoded_image_string)).convert("RGB")
        assert event.step == 4 * 3  # epochs of 102 clips in whole batches of 32
        assert picture.size == (event.width, event.height) and len(picture.getcolors(1 << 20)) > 10
    names = " ".join(node.name for node in events.Graph().node)
    assert "Conv2d" in names or "_convolution" in names


def test_the_table_of_runs_holds_settings_and_the_figures_of_the_test(trained):
    events = events_of(trained.output)
    tags = events.summary_metadata
    start = HParamsPluginData.FromString(tags["_hparams_/session_start_info"].plugin_data.content).session_start_info
    settings = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    assert settings["optimizer"] == "AdamW" and settings["network"] == "SimpleCNN" and settings["scheduler"] == "cosine"
    assert settings["optimizer.lr"] == pytest.approx(0.008) and settings["network.channels"] == "[8, 16, 16]"
    assert (settings["batch_size"], settings["max_epochs"], settings["seed"]) == (32, 4, 0)
    assert settings["dataset"].endswith("_128dss_simple_saw_2p") and settings["num_parameters"] > 9000
    assert not any("_target_" in name or "recipe" in name for name in settings) and len(settings) < 45
    experiment = HParamsPluginData.FromString(tags["_hparams_/experiment"].plugin_data.content).experiment
    columns = {one.name.tag for one in experiment.metric_infos}
    assert {"val/nmae_best", "test/nmae", "test/note_velocity_mae", "test/log10_decay_time_mae"} <= columns
    assert events.Scalars("val/nmae_best")[-1].value == pytest.approx(trained.score, rel=1e-6)
    for row in trained.results["rows"]:
        assert events.Scalars(f"test/{row['name']}_mae")[-1].value == pytest.approx(row["mae"], rel=1e-6)


@pytest.mark.long
def test_figures_come_every_few_epochs_and_after_the_last(data_root, saw, tmp_path):
    few = ("callbacks=tensorboard_figures", "callbacks.tensorboard_figures.every_n_epochs=3", "trainer.max_epochs=7")
    running.run("train", data_root, tmp_path, *few, "logger=tensorboard")
    events = events_of(tmp_path)
    assert [event.step for event in events.Images("val/predictions")] == [9, 18, 21]


@pytest.mark.long
def test_a_run_that_stops_early_is_drawn_where_it_stopped(data_root, saw, tmp_path):
    few = ("callbacks=[tensorboard_figures,early_stopping]", "trainer.max_epochs=9")
    never_better = ("callbacks.early_stopping.patience=1", "+callbacks.early_stopping.min_delta=1000")
    running.run("train", data_root, tmp_path, *few, *never_better, "logger=tensorboard")
    (event,) = events_of(tmp_path).Images("val/predictions")
    assert event.step == 2 * 3  # the first epoch is the best, the next no better


@pytest.mark.long
def test_the_last_figure_is_of_the_averaged_weights_where_there_are_any(data_root, saw, tmp_path, monkeypatch):
    drawn, sounds, draw = [], [], TensorBoardFigures._draw

    def watched(self, trainer, pl_module, shown):
        sounds.append(shown)
        draw(self, trainer, pl_module, shown)

    def scatter_figure(space, truth, predicted):
        drawn.append(predicted)
        return pyplot.figure()

    monkeypatch.setattr(TensorBoardFigures, "_draw", watched)
    monkeypatch.setattr(tensorboard_figures, "scatter_figure", scatter_figure)
    running.run("train", data_root, tmp_path, "callbacks=[default,ema]", "logger=tensorboard")
    model = load_checkpoint(tmp_path / "checkpoints/last.ckpt")
    with torch.no_grad():
        expected = model.values(sounds[0]["image"], sounds[0]["scale"])
    assert len(drawn) == 1
    np.testing.assert_allclose(drawn[0], expected.numpy(), rtol=1e-5)


def test_the_sounds_to_be_drawn_keep_no_batch_alive(tmp_path):
    batch = {name: torch.zeros(5000, 2) for name in ("image", "scale", "target")}
    trainer = SimpleNamespace(is_global_zero=True, sanity_checking=False, current_epoch=0, strategy=None)
    trainer.loggers = [TensorBoardLogger(tmp_path)]
    callback = TensorBoardFigures()
    callback.on_validation_batch_end(trainer, None, None, batch, 0)
    assert all(one.untyped_storage().nbytes() == 256 * 2 * 4 for one in callback._sounds.values())


@pytest.mark.slow
def test_two_processes_draw_without_waiting_for_each_other(data_root, saw, tmp_path):
    given = (
        "trainer=ddp_sim",
        "trainer.max_epochs=2",
        "dataset.size=128",
        "callbacks.tensorboard_figures.every_n_epochs=2",
    )
    done = running.command(
        "src/train.py", *given, "extras.num_threads=1", f"paths.data_dir={data_root}", f"hydra.run.dir={tmp_path}/run"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(events_of(tmp_path / "run").Images("val/predictions")) == 1


def test_without_tensorboard_nothing_is_drawn(data_root, saw, tmp_path):
    running.run("train", data_root, tmp_path, "callbacks=tensorboard_figures", "logger=csv", "trainer.max_epochs=1")
    assert not list(tmp_path.rglob("events*"))


@pytest.mark.long
def test_figures_and_graph_change_no_weight(data_root, saw, tmp_path):
    states = []
    for callbacks in ("[model_checkpoint]", "[model_checkpoint,tensorboard_figures]"):
        output = tmp_path / str(len(states))
        # dropout draws from the generator in every step: a number taken from it would show
        given = (f"callbacks={callbacks}", "logger=tensorboard", "model.network.dropout=0.3")
        running.run("train", data_root, output, *given)
        states.append(torch.load(output / "checkpoints/last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


class Looking(torch.nn.Module):
    """A network that cannot be traced."""

    feature_dim = 3

    def __init__(self, in_channels, image_size):
        super().__init__()

    def forward(self, image):
        raise RuntimeError("first line\nsecond line")


def test_a_network_that_cannot_be_traced_is_one_warning(tmp_path, caplog):
    module = SimpleNamespace(
        network=Looking(1, (4, 4)), spec=SimpleNamespace(image_shape=(1, 4, 4)), device=torch.device("cpu")
    )
    trainer = SimpleNamespace(is_global_zero=True, callbacks=[], loggers=[TensorBoardLogger(tmp_path)])
    TensorBoardFigures().setup(trainer, module, "fit")
    (record,) = caplog.records
    assert record.getMessage().endswith("graph cannot be drawn (first line)")


MODELS = sorted(path.stem for path in (running.CONFIGS / "model").glob("*.yaml") if path.stem != "base")


@pytest.mark.parametrize(
    "choice", [pytest.param(one, marks=[] if one in ("cnn_micro", "vit_tiny") else pytest.mark.slow) for one in MODELS]
)
def test_every_network_can_be_traced_and_is_left_as_it_was(choice, tmp_path, caplog):
    model = build_model(running.plain("train", "model", f"model={choice}"), SPEC)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    state = torch.get_rng_state()
    trainer = SimpleNamespace(
        is_global_zero=True, callbacks=[], loggers=[TensorBoardLogger(tmp_path, name="", version="")]
    )
    TensorBoardFigures().setup(trainer, model, "fit")
    assert torch.equal(torch.get_rng_state(), state) and model.network.training and not caplog.records
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    trainer.loggers[0].experiment.flush()
    assert len(EventAccumulator(str(tmp_path)).Reload().Graph().node) > 10
