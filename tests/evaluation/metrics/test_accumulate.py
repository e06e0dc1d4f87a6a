"""The torchmetrics classes give what the functions give, however clips are batched."""

import pytest
import torch

from src.evaluation.metrics.accumulate import AudioMetric, FrechetAudioDistance
from src.evaluation.metrics.frechet import fad_logmel
from src.evaluation.metrics.table import METRICS
from src.utils.errors import UserError
from tests.evaluation.metrics.sounds import noise, tone


@pytest.mark.parametrize("name", METRICS)
def test_batches_add_up(name):
    target = tone(220, sample_rate=8000, partials=9).expand(5, -1)
    prediction = target * torch.linspace(0.5, 1, 5)[:, None] + noise(5, 8000) * 0.1
    metric = AudioMetric(name, 8000)
    for rows in (slice(0, 3), slice(3, 5)):
        metric.update(prediction[rows], target[rows])
    expected = METRICS[name].function(prediction, target, 8000)
    torch.testing.assert_close(metric.per_clip(), expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(metric.compute(), expected.mean(), rtol=1e-3, atol=1e-3)
    metric.reset()
    metric.update(prediction[:1], target[:1])
    assert len(metric.per_clip()) == 1


def test_clips_without_a_pitch_are_left_out_of_the_mean():
    target = tone(220, sample_rate=8000, partials=9).expand(2, -1)
    metric = AudioMetric("f0_error", 8000)
    metric.update(torch.cat([tone(440, sample_rate=8000, partials=9), noise(1, 8000)]), target)
    assert metric.per_clip().isnan().tolist() == [False, True]
    assert metric.compute().item() == pytest.approx(1200, abs=0.5)


def test_the_frechet_distance_of_batches_is_that_of_the_sets():
    prediction, target = noise(300, 400), 0.5 * noise(260, 400, seed=1)
    metric = FrechetAudioDistance(8000)
    for at in range(0, 260, 130):
        metric.update(prediction[at : at + 130], target[at : at + 130])
    assert metric.compute().item() == pytest.approx(fad_logmel(prediction[:260], target, 8000), rel=1e-4)
    few = FrechetAudioDistance(8000)
    few.update(prediction[:9], target[:9])
    with pytest.raises(UserError, match="9 clips given"):
        few.compute()


def test_a_mistyped_name_is_answered():
    with pytest.raises(UserError, match="Did you mean 'wmfcc'"):
        AudioMetric("wmfc", 8000)
