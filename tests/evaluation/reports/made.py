"""Predictions that no model made, with parameters of every kind and a name with markup."""

import json
from dataclasses import replace

import numpy as np
from scipy import stats

from src.evaluation.predictions_file import SplitPredictions, write_predictions_file
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec

MARKUP = "<img src=x onerror=alert(1)></script>"
SPACE = ParameterSpace(
    [
        ParameterSpec(name="cutoff", min=100, max=4000, unit="Hz", scale="log"),
        ParameterSpec(name=MARKUP, min=-1, max=1, unit="<b>dB</b>"),
        ParameterSpec(name="wave", min=0, max=2, kind="categorical", values=("saw", "<i>sine", "noise")),
        ParameterSpec(name="octave", min=-2, max=2, step=1, kind="ordinal"),
    ]
)
SD = 0.05  # of the errors, as a fraction of the range: normal, and stated correctly


def make_predictions(count, space=SPACE, seed=0, errors=None):
    """Return predictions whose errors are normal with the stated deviation; a tenth of the categories is wrong.

    `errors` seeds the errors, so that several networks predict the same samples.
    """
    random = np.random.default_rng(seed if errors is None else errors)
    truth = space.sample(seed, 0, count).astype(np.float64)
    nominal = np.array([spec.kind == "categorical" for spec in space])
    sd = np.tile(SD * (space.max - space.min), (count, 1))
    value = truth + sd * random.standard_normal(truth.shape)
    level, true_level = space.to_class(value), space.to_class(truth)
    wrong = random.random(truth.shape) < 0.1
    level = np.where(nominal, np.where(wrong, (true_level + 1) % space.num_classes, true_level), level)
    value = np.where(nominal, space.from_class(level), value)
    ends = []
    for share in (0.68, 0.9):
        half = stats.norm.ppf(0.5 + share / 2) * sd
        ends += [np.where(nominal, np.nan, value - half), np.where(nominal, np.nan, value + half)]
    sd = np.where(nominal, 0.1, sd)
    limit = np.where(nominal, np.nan, 0.001)
    about = {"dataset": f"made {MARKUP}", "split": "test", "samples": "sounds"}
    return SplitPredictions(space, value, truth, sd, *ends, level, true_level, truth.mean(axis=0), limit, about)


def make_methods(count, names, space=SPACE, runs=1):
    """Return methods that predict the same samples, the first with the largest errors."""
    methods, halved = {}, 1.0
    for at, name in enumerate(names):
        methods[name] = []
        for run in range(runs):
            one = make_predictions(count, space, errors=1000 * at + run)
            nominal = np.array([spec.kind == "categorical" for spec in space])
            value = np.where(nominal, one.value, one.truth + halved * (one.value - one.truth))
            single = {"value": value.astype(np.float32), "truth": one.truth.astype(np.float32)}  # as in a file
            methods[name].append(replace(one, **single))
        halved /= 2
    return methods


def write_results(predictions, directory):
    """Write predictions.npz and test_results.json."""
    write_predictions_file(predictions, directory)
    about = predictions.about
    results = {"dataset": about["dataset"], "samples": "sounds", "num_samples": len(predictions.value), "metrics": {}}
    (directory / "test_results.json").write_text(json.dumps(results))
