"""When a prediction is doubtful, and where the user reads why."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from src.evaluation.predict import Prediction, predict_dataset
from src.evaluation.prediction_warnings import AT_EDGE, UNLIKE, prediction_warnings
from src.evaluation.tables import print_predictions, print_segments
from src.models.build import load_checkpoint
from src.models.feature_distribution import FeatureDistribution
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=-2, max=6, step=0.5, unit="dB"),
        ParameterSpec(name="wave", min=0, max=3, step=1, kind="categorical"),
        ParameterSpec(name="voices", min=1, max=4, step=1, kind="ordinal"),
        ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log", unit="Hz"),
    ]
)


@pytest.mark.parametrize(
    ("values", "distance", "expected"),
    [
        ([0, 0, 1, 500], 0.9, ()),
        ([0, 0, 4, 500], np.nan, ()),
        ([0, 3, 4, 500], 1.1, (UNLIKE,)),
        ([-2, 0, 1, 500], 1.0, (f"{AT_EDGE}: level",)),
        ([5.995, 0, 1, 50], 2.0, (UNLIKE, f"{AT_EDGE}: level, cutoff")),
        ([5.98, 0, 1, 51], 0.0, ()),
    ],
)
def test_a_far_sound_and_a_value_at_the_end_of_a_continuous_range_are_doubtful(values, distance, expected):
    assert prediction_warnings(SPACE, np.array(values, np.float64), distance) == expected


def test_a_line_for_each_doubtful_sound_fits_the_screen(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    sounds = [Prediction(f"{at}.wav", *[np.array([0.0, 1.0, 2.0, 500.0])] * 4, times=(at, at + 1)) for at in range(3)]
    sounds[1] = replace(sounds[1], warnings=(UNLIKE, f"{AT_EDGE}: level, cutoff"))
    print_predictions(sounds, SPACE, 1638, ["level"])
    lines = capsys.readouterr().out.splitlines()
    assert f"1.wav: {UNLIKE}; {AT_EDGE}" in lines
    assert "+- of level and the interval's width are a typical error, not this sound's" in lines
    assert sum(UNLIKE in line for line in lines) == 1
    print_predictions(sounds[1:2], SPACE, 1638, SPACE.names)
    lines = capsys.readouterr().out.splitlines()
    assert f"warning: {UNLIKE}; {AT_EDGE}" in lines
    assert "+- and the interval's width are a typical error, not this sound's" in lines
    print_segments("song.wav", sounds, SPACE, 1638)
    assert f"1.000 s: {UNLIKE}; {AT_EDGE}" in capsys.readouterr().out.splitlines()


def test_a_model_warns_of_sounds_whose_features_are_far(trained, saw):
    model = load_checkpoint(trained.best)
    assert all(np.isnan(one.distance) for one in predict_dataset(model, saw))
    size = model.description_size
    model.feature_distribution = FeatureDistribution(torch.zeros(size), torch.eye(size), torch.tensor(1e-3))
    found = predict_dataset(model, saw)
    assert all(one.distance > 1 and one.warnings[0] == UNLIKE for one in found)
