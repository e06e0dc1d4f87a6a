"""When a callback that shows sound does so, what it collects, what it computes of it, and where that goes."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.callbacks import sound_callback
from src.callbacks.audio_logging import AudioLoggingCallback
from src.callbacks.fad_computation import FADComputationCallback, sound_distance
from src.callbacks.frequency_response import FrequencyResponseCallback, magnitude_response
from src.callbacks.metrics_logging import MetricsLoggingCallback
from src.callbacks.parameter_visualization import ParameterVisualizationCallback
from src.callbacks.showing import show_figure, show_sound, show_values
from src.callbacks.sound_callback import SoundCallback
from src.callbacks.spectrogram_logging import SpectrogramLoggingCallback
from src.evaluation.metrics.frechet import fad_logmel
from src.models.tasks.task import Points
from src.utils.errors import UserError

RATE = 8000


class Recorder(SoundCallback):
    """Notes what it was given."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.seen = []

    def show(self, trainer, module, collected):
        self.seen.append((trainer.global_step, collected))


def module_of(points=True):
    def given(outputs, batch):
        return Points(None, batch["target"].numpy(), outputs["level"].numpy()) if points else None

    return SimpleNamespace(heads=SimpleNamespace(points=given, predicts="images"), spec=None)


def trainer_of(**changes):
    given = {"is_global_zero": True, "sanity_checking": False, "global_step": 0, "current_epoch": 0, "world_size": 1}
    return SimpleNamespace(**(given | {"loggers": [], "callback_metrics": {}} | changes))


def validate(callback, trainer, sizes=(3, 3), module=None):
    """Run the hooks of a validation with batches of these sizes, whose true values count from 0."""
    callback.on_validation_start(trainer, None)
    first = 0
    for index, size in enumerate(sizes):
        rows = torch.arange(first, first + size, dtype=torch.float32)[:, None]
        batch = {"image": rows[:, None, None].expand(size, 1, 2, 2), "target": rows}
        outputs = {"level": rows + 0.5} if size else None  # a process without a sample of the batch
        callback.on_validation_batch_end(trainer, module or module_of(), outputs, batch, index)
        first += size
    callback.on_validation_end(trainer, module or module_of())


@pytest.mark.parametrize(
    ("interval", "unit", "expected"),
    [(1, "steps", [10, 20, 30, 40]), (11, "steps", [10, 30]), (2, "epochs", [10, 30]), (4, "epochs", [10])],
)
def test_the_first_validation_is_shown_and_then_one_each_interval(interval, unit, expected):
    callback = Recorder(interval, unit, 4)
    validate(callback, trainer_of(sanity_checking=True))
    for epoch in range(4):
        validate(callback, trainer_of(global_step=10 * (epoch + 1), current_epoch=epoch))
    assert [step for step, _ in callback.seen] == expected


def test_a_resumed_run_keeps_the_interval():
    first, resumed = Recorder(20, "steps", 4), Recorder(20, "steps", 4)
    validate(first, trainer_of(global_step=10))
    resumed.load_state_dict(first.state_dict())
    for step in (20, 30):
        validate(resumed, trainer_of(global_step=step))
    assert [step for step, _ in resumed.seen] == [30]


@pytest.mark.parametrize(("sizes", "expected"), [((3, 3), 4), ((6,), 4), ((2, 0, 1), 3), ((0,), None)])
def test_the_first_sounds_are_collected_from_as_many_batches_as_it_takes(sizes, expected):
    callback = Recorder(1, "steps", 4)
    validate(callback, trainer_of(global_step=1), sizes)
    if expected is None:
        assert not callback.seen
        return
    ((_, collected),) = callback.seen
    np.testing.assert_array_equal(collected["true"][:, 0], np.arange(expected))
    np.testing.assert_array_equal(collected["predicted"], collected["true"] + 0.5)


def test_only_the_first_process_collects():
    callback = Recorder(1, "steps", 4)
    validate(callback, trainer_of(is_global_zero=False, world_size=2, global_step=1))
    assert not callback.seen and not callback._parts


def test_a_task_without_parameters_and_a_synth_that_is_missing_are_one_warning(caplog, monkeypatch):
    def source_of(spec, trust):
        raise UserError("theirs: voice not trusted")

    monkeypatch.setattr(sound_callback, "source_of", source_of)
    for callback, module, cause in (
        (Recorder(1, "steps", 4), module_of(points=False), "predicts no parameters"),
        (AudioLoggingCallback(1), module_of(), "theirs: voice not trusted"),
    ):
        caplog.clear()
        for step in (1, 2, 3):
            validate(callback, trainer_of(global_step=step), module=module)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING and cause in record.getMessage()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AudioLoggingCallback(log_every_n_steps=0), "number of steps"),
        (lambda: SpectrogramLoggingCallback(max_samples_per_batch=0), "number of sounds"),
        (lambda: ParameterVisualizationCallback(log_every_n_epochs=1.5), "number of epochs"),
        (lambda: AudioLoggingCallback(sample_rate=10), "sample_rate: 10 given; give 1000 to 768000"),
        (lambda: FrequencyResponseCallback(frequency_range=[100, 20]), "frequency_range: .100, 20. given"),
        (lambda: MetricsLoggingCallback(metrics=["ms"]), "'ms' given. Did you mean 'mss'"),
    ],
)
def test_settings_without_meaning_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_a_full_scale_sine_has_a_response_of_minus_3_db_at_its_frequency():
    time = np.arange(RATE) / RATE
    sines = np.stack([np.sin(2 * np.pi * hertz * time) for hertz in (500.0, 2000.0)]).astype(np.float32)
    frequencies, levels = magnitude_response(np.concatenate([sines, 0.1 * sines[:1]]), RATE)
    assert frequencies[-1] == RATE / 2
    np.testing.assert_allclose(frequencies[levels.argmax(axis=1)], [500, 2000, 500], atol=4)
    np.testing.assert_allclose(levels.max(axis=1), [-3.01, -3.01, -23.01], atol=0.01)


def noise_source(values):
    """Return noise of the levels in the first column, (n, 2000)."""
    generator = np.random.default_rng(int(values[0, 1]))
    return (values[:, :1] * generator.standard_normal((len(values), 2000))).astype(np.float32)


@pytest.fixture
def collected(monkeypatch):
    """True and predicted levels of 300 sounds, which a source of noise renders."""
    source = SimpleNamespace(sounds=noise_source, front_end=SimpleNamespace(sample_rate=RATE))
    monkeypatch.setattr(sound_callback, "source_of", lambda spec, trust: source)
    level = np.random.default_rng(0).uniform(0.05, 0.2, 300)
    return {name: np.stack([factor * level, level * 0], axis=1) for name, factor in (("true", 1.0), ("predicted", 0.5))}


def test_the_distance_is_that_of_all_sounds_at_once(collected):
    callback, module = FADComputationCallback(), SimpleNamespace(spec=None)
    sets = []
    for start in range(0, 300, 64):
        block = {name: values[start : start + 64] for name, values in collected.items()}
        sets.append(callback.render(module, block)[:2])
    predicted, target = (torch.cat(sounds) for sounds in zip(*sets, strict=True))
    expected = fad_logmel(predicted, target, RATE)
    assert sound_distance(callback, module, collected) == pytest.approx(expected, rel=1e-4) and expected > 100


def test_metrics_with_fad_show_both_and_measure_only_the_first_sounds(collected):
    logged = []
    logger = SimpleNamespace(log_metrics=lambda values, step: logged.append((step, values)))
    options = {"log_every_n_epochs": 1, "compute_fad": True, "fad_every_n_epochs": 2, "max_samples_per_batch": 3}
    callback = MetricsLoggingCallback(metrics=["level_error", "f0_error"], **options)
    assert callback.max_samples == 512
    for epoch in range(3):
        trainer = trainer_of(loggers=[logger], global_step=10 * epoch, current_epoch=epoch)
        callback.show(trainer, SimpleNamespace(spec=None), collected)
    steps = [step for step, values in logged if "sounds/fad_logmel" in values]
    assert steps == [0, 20]
    levels = [values for _, values in logged if "sounds/level_error" in values]
    assert len(levels) == 3 and levels[0]["sounds/level_error"] == pytest.approx(6.02, abs=0.5)


def test_tensorboard_gets_sounds_figures_and_values_and_no_file_is_written(tmp_path):
    logger = TensorBoardLogger(tmp_path / "board", name="", version="")
    trainer = trainer_of(loggers=[logger], global_step=7)
    show_sound(trainer, tmp_path / "sounds", "0_target", 2 * np.ones(100, np.float32), RATE)
    show_figure(trainer, tmp_path / "sounds", "responses", Figure())
    show_values(trainer, {"mss": 3.5})
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path / "board"), {"images": 0, "audio": 0, "scalars": 0}).Reload()
    (audio,) = events.Audio("sounds/0_target")
    assert (audio.step, audio.sample_rate, audio.length_frames) == (7, RATE, 100)
    assert [event.step for event in events.Images("sounds/responses")] == [7]
    assert [event.value for event in events.Scalars("sounds/mss")] == [3.5]
    assert not (tmp_path / "sounds").exists()


def test_wandb_gets_sounds_and_figures_and_no_file_is_written(tmp_path):
    class Logger(WandbLogger):
        """Notes what it would upload."""

        def __init__(self):
            self.given = []

        def log_audio(self, key, audios, step=None, **options):
            self.given.append((key, audios[0].max(), step, options))

        def log_image(self, key, images, step=None, **options):
            self.given.append((key, type(images[0]), step, options))

    logger = Logger()
    trainer = trainer_of(loggers=[logger], global_step=7)
    show_sound(trainer, tmp_path / "sounds", "0_target", 2 * np.ones(100, np.float32), RATE)
    show_figure(trainer, tmp_path / "sounds", "responses", Figure())
    assert logger.given == [
        ("sounds/0_target", 1.0, 7, {"sample_rate": [RATE]}),
        ("sounds/responses", Figure, 7, {}),
    ]
    assert not (tmp_path / "sounds").exists()
