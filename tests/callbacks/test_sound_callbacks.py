"""Callbacks that show sound: what they write is what the validation step computed, and training does not notice."""

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.callbacks import parameter_visualization, spectrogram_logging
from src.data.info import read_spec
from src.data.origin import source_of
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.metrics.table import METRICS
from src.models.build import load_checkpoint
from src.models.vimh_lit_module import VIMHLitModule
from tests import running

NAMES = ("audio_logging", "spectrogram_logging", "metrics_logging", "parameter_visualization", "frequency_response")
ALL = ",".join((*NAMES, "fad_computation"))
# dropout draws from the generator in every step: a number taken from it would show
DROPOUT = "model.network.dropout=0.3"


@pytest.fixture(scope="module")
def shown(data_root, saw, tmp_path_factory):
    """A run with all callbacks and no TensorBoard, what its figures got, and the forward passes that it made."""
    output, drawn, forwards = tmp_path_factory.mktemp("shown"), {}, []
    forward, scatter = VIMHLitModule.features, parameter_visualization.scatter_figure
    images = spectrogram_logging.spectrogram_figure

    def counted(self, image, scale=None):
        forwards.append(len(image))
        return forward(self, image, scale)

    def scatter_figure(space, true, predicted):
        drawn.setdefault("parameters", []).append((true, predicted))
        return scatter(space, true, predicted)

    def spectrogram_figure(target, predicted, unit):
        drawn.setdefault("spectrograms", []).append((target, predicted, unit))
        return images(target, predicted, unit)

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr(VIMHLitModule, "features", counted)
        patch.setattr(parameter_visualization, "scatter_figure", scatter_figure)
        patch.setattr(spectrogram_logging, "spectrogram_figure", spectrogram_figure)
        settings = ("callbacks.audio_logging.sample_rate=16000", "callbacks.metrics_logging.compute_fad=true")
        running.run("train", data_root, output, f"callbacks=[model_checkpoint,{ALL}]", DROPOUT, *settings, "test=false")
    return output, drawn, forwards


@pytest.mark.long
def test_training_its_random_numbers_and_its_forward_passes_do_not_change(shown, data_root, saw, tmp_path, monkeypatch):
    forwards, forward = [], VIMHLitModule.features

    def counted(self, image, scale=None):
        forwards.append(len(image))
        return forward(self, image, scale)

    monkeypatch.setattr(VIMHLitModule, "features", counted)
    running.run("train", data_root, tmp_path, "callbacks=[model_checkpoint]", DROPOUT, "test=false")
    with_them, without = (
        torch.load(output / "checkpoints/last.ckpt", weights_only=True) for output in (shown[0], tmp_path)
    )
    assert all(torch.equal(value, without["state_dict"][name]) for name, value in with_them["state_dict"].items())
    assert torch.equal(with_them["rng_state"], without["rng_state"])
    assert shown[2] == forwards and forwards.count(13) == 2  # one for each validation, of 13 sounds
    states = {key.partition("{")[0]: state for key, state in with_them["callbacks"].items()}
    assert states["AudioLoggingCallback"]["_last"] == 3 and states["MetricsLoggingCallback"]["_last_fad"] == 1


def test_sounds_are_those_of_the_true_and_predicted_parameters_of_the_step(shown, saw):
    output, drawn, _ = shown
    ((true, predicted),) = drawn["parameters"]
    source = source_of(read_spec(saw))
    for values, name in ((true, "target"), (predicted, "prediction")):
        sounds = source.sounds(values[:4])
        for index, expected in enumerate(sounds):
            audio, rate = soundfile.read(output / f"sounds/step_3/{index}_{name}.wav")
            assert rate == 16_000 and len(audio) == 2 * len(expected)
            np.testing.assert_allclose(audio[::2], expected, atol=0.02)  # resampled, in 16 bits
    assert not list(output.glob("sounds/step_3/4_*"))
    assert not (output / "sounds/step_6").exists()  # less than 1000 steps and 10 epochs later


def test_predictions_are_those_of_the_epochs_network(data_root, saw, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(parameter_visualization, "show_figure", lambda *_: None)
    monkeypatch.setattr(parameter_visualization, "scatter_figure", lambda *given: seen.append(given))
    every = ("callbacks=[model_checkpoint,parameter_visualization]", "test=false")
    running.run("train", data_root, tmp_path, *every, "callbacks.parameter_visualization.log_every_n_epochs=1")
    model, split = load_checkpoint(tmp_path / "checkpoints/last.ckpt"), VIMHDataset(saw, "val")
    batch = split.__getitems__(np.arange(len(split)))
    with torch.no_grad():
        expected = model.values(batch["image"] / 255.0, batch["scale"])
    assert len(seen) == 2
    np.testing.assert_allclose(seen[1][2], expected.numpy(), rtol=1e-4)
    np.testing.assert_allclose(seen[1][1], model.spec.space.denormalize(batch["target"].numpy()), rtol=1e-6)


def test_spectrograms_are_the_datasets_images_and_those_of_the_predicted_sounds_in_decibels(shown, saw):
    output, drawn, _ = shown
    ((target, predicted, unit),) = drawn["spectrograms"]
    batch = VIMHDataset(saw, "val").__getitems__(np.arange(4))
    low, high = batch["scale"].numpy().T[:, :, None, None]
    images, scale = source_of(read_spec(saw)).images(drawn["parameters"][0][1][:4])
    assert unit == "dB"
    np.testing.assert_allclose(target, low + batch["image"][:, 0].numpy() / 255 * (high - low), atol=1e-3)
    low, high = scale.T[:, :, None, None]
    step = float((high - low).max()) / 255
    np.testing.assert_allclose(predicted, low + images[:, 0] / 255 * (high - low), atol=0.51 * step)
    for name in ("spectrograms", "parameters", "responses"):
        assert len(Image.open(output / f"sounds/step_3/{name}.png").convert("RGB").getcolors(1 << 20)) > 10


def test_metrics_are_the_means_of_the_metrics_of_those_sounds(shown, saw):
    output, drawn, _ = shown
    ((true, predicted),) = drawn["parameters"]
    source = source_of(read_spec(saw))
    pair = [torch.from_numpy(source.sounds(values)) for values in (predicted, true)]
    header, *rows = [line.split(",") for line in (output / "csv/metrics.csv").read_text().splitlines()]
    for name in ("mss", "sot", "rms_cosine", "level_error"):
        values = [row[header.index(f"sounds/{name}")] for row in rows]
        (value,) = [float(value) for value in values if value]
        assert value == pytest.approx(METRICS[name].function(*pair, 8000).mean().item(), rel=1e-4, abs=1e-6)
    assert "sounds/fad_logmel" not in header


def test_what_cannot_be_computed_is_one_warning_each(data_root, saw, tmp_path, caplog):
    """13 sounds are too few for a Frechet distance, and a lowest frequency above the Nyquist frequency has no axis."""
    given = ("callbacks=[fad_computation,frequency_response]", "callbacks.fad_computation.fad_every_n_epochs=1")
    more = (
        "callbacks.frequency_response.log_every_n_epochs=1",
        "callbacks.frequency_response.frequency_range=[4e3,5e3]",
    )
    more += ("callbacks.frequency_response.frequency_range=[4000,5000]",)
    running.run("train", data_root, tmp_path, *given, *more, "test=false")
    lines = [record.getMessage() for record in caplog.records if "shows nothing" in record.getMessage()]
    assert len(lines) == 2 and not list(tmp_path.rglob("sounds"))
    assert "FADComputationCallback shows nothing: Frechet distance: 13 clips given" in "\n".join(lines)
    assert "FrequencyResponseCallback shows nothing: frequency_range begins at 4000 Hz" in "\n".join(lines)


@pytest.mark.slow
def test_two_processes_show_without_waiting_for_each_other(data_root, saw, tmp_path):
    given = ("trainer=ddp_sim", "trainer.max_epochs=2", "dataset.size=128", f"callbacks=[model_checkpoint,{ALL}]")
    done = running.command(
        "src/train.py", *given, "extras.num_threads=1", f"paths.data_dir={data_root}", f"hydra.run.dir={tmp_path}/run"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = {"images": 0, "audio": 0, "scalars": 0}
    events = EventAccumulator(str(tmp_path / "run/tensorboard"), kinds).Reload()
    assert set(events.Tags()["images"]) == {f"sounds/{name}" for name in ("parameters", "spectrograms", "responses")}
    assert len(events.Tags()["audio"]) == 8 and len(events.Scalars("sounds/mss")) == 1
    assert not (tmp_path / "run/sounds").exists()
