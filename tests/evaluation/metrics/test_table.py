"""What every metric promises: one finite value per clip, the best value for equal clips, and refusals by name."""

import re

import pytest
import torch

from src.evaluation.metrics.table import METRICS
from src.utils.errors import UserError
from tests.evaluation.metrics.sounds import PEER_RATE, noise, tone
from tests.models.mps import OnMPS
from tests.running import ROOT

PAGE = (ROOT / "docs/audio_metrics.md").read_text()
BEST = {"rms_cosine": 1.0}
CHANGES = {  # of a tone of 220 Hz, in the order of the page's columns
    "semitone": tone(233.08188),
    "decay": tone(220, 0.2),
    "level": tone(220, amplitude=0.25),
    "partials": tone(220, partials=10),
    "late": torch.nn.functional.pad(tone(220), (441, 0))[:, :PEER_RATE],
    "inverted": -tone(220),
}
every_metric = pytest.mark.parametrize("name", METRICS)


@every_metric
def test_equal_clips_have_the_best_value(name):
    audio = torch.cat([tone(220, sample_rate=8000, partials=9), 1e-3 * tone(440, sample_rate=8000, partials=4)])
    values = METRICS[name].function(audio, audio, 8000)
    assert values.shape == (2,) and values.dtype == torch.float32
    if name == "si_sdr":
        assert (values > 80).all()
    else:
        torch.testing.assert_close(values, torch.full((2,), BEST.get(name, 0.0)), atol=1e-4, rtol=0)


@every_metric
def test_another_sound_is_worse(name):
    metric = METRICS[name]
    target = tone(220, sample_rate=8000, partials=9).expand(2, -1)
    other = tone(300, 0.1, 0.1, 3, sample_rate=8000)
    equal, different = metric.function(torch.cat([target[:1], other]), target, 8000)
    assert different > equal if metric.better == "lower" else different < equal


@every_metric
@pytest.mark.parametrize("length", [1, 5, 200, 3000])
def test_silence_and_short_clips_have_finite_values(name, length):
    sound, silence = noise(1, length), torch.zeros(1, length)
    predictions, targets = torch.cat([silence, silence, sound, sound]), torch.cat([silence, sound, silence, sound])
    for sample_rate in (8000, 44_100):
        values = METRICS[name].function(predictions, targets, sample_rate)
        assert values.isnan().all() if name == "f0_error" else values.isfinite().all()


@every_metric
def test_the_value_of_a_clip_does_not_depend_on_the_batch(name):
    predictions = torch.cat([change[:, ::5] for change in CHANGES.values()])
    targets = tone(220)[:, ::5].expand_as(predictions)
    function = METRICS[name].function
    alone = torch.cat([function(predictions[at : at + 1], targets[at : at + 1], 8820) for at in range(len(targets))])
    torch.testing.assert_close(function(predictions, targets, 8820), alone, rtol=1e-3, atol=1e-3)


@every_metric
def test_everything_exists_on_mps(name):
    with OnMPS() as device:
        METRICS[name].function(noise(2, 4000), noise(2, 4000, seed=1), 8000)
    assert not device.faults


@every_metric
def test_what_cannot_be_compared_is_refused_in_one_line(name):
    function, audio = METRICS[name].function, noise(4, 500)
    broken, loud = audio.clone(), audio.clone()
    broken[2, 7], loud[3, 1] = torch.nan, 1e30
    refused = [
        (broken, audio, 8000, "prediction: clip 2 has samples that are not finite"),
        (audio, loud, 8000, "target: clip 3 has samples"),
        (audio[:2], audio, 8000, r"shapes \(2, 500\) and \(4, 500\)"),
        (audio[0], audio[0], 8000, r"prediction: shape \(500,\)"),
        (audio[:, :0], audio[:, :0], 8000, r"prediction: shape \(4, 0\)"),
        (audio.int(), audio.int(), 8000, "prediction: torch.int32"),
        (audio, audio, 2000, "sample_rate: 2000 Hz"),
    ]
    for prediction, target, sample_rate, message in refused:
        with pytest.raises(UserError, match=message) as raised:
            function(prediction, target, sample_rate)
        assert "\n" not in str(raised.value)


def test_the_page_shows_what_each_metric_hears():
    measured = PAGE.split("is measured")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", measured, re.MULTILINE)
    table = {name: [float(cell) for cell in cells.split("|")] for name, cells in rows}
    assert list(table) == list(METRICS)
    predictions = torch.cat(list(CHANGES.values()))
    targets = tone(220).expand_as(predictions)
    for name, shown in table.items():
        values = METRICS[name].function(predictions, targets, PEER_RATE)
        tolerance = {"f0_error": 0.2, "si_sdr": 6 if max(shown) > 90 else 0.05}.get(name, 0.006)
        torch.testing.assert_close(values, torch.tensor(shown), rtol=0.01, atol=tolerance)


def test_the_code_of_the_page_prints_what_it_says(capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(code, "docs/audio_metrics.md", "exec"), {})
    assert capsys.readouterr().out.startswith("tensor([6.02")


def test_the_page_lists_every_metric_with_its_unit():
    for name, metric in METRICS.items():
        assert re.search(rf"^\| `{name}` \| {metric.unit or '(1|of Nyquist)'} \|", PAGE, re.MULTILINE), name
