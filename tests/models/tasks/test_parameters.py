"""Further metrics of categorical heads, by config; parameters without categories have none."""

import pytest
import torch
from sklearn.metrics import f1_score, recall_score

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.tasks.parameters import ParametersTask
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError

CUTOFF = ParameterSpec(name="cutoff", min=50, max=5000, step=50, scale="log")
WAVE = ParameterSpec(name="wave", min=2, max=5, step=1, kind="categorical")
SPEC = DatasetSpec("t", Inputs((1, 8, 8)), ParameterSpace([CUTOFF, WAVE]))


def task_of(spec=SPEC, heads=None, **options):
    torch.manual_seed(0)
    return ParametersTask(6, spec, heads or {}, **options)


def test_metrics_of_a_categorical_head_are_those_of_scikit_learn():
    task = task_of(metrics=["f1", {"metric": "recall", "name": "hits", "average": "micro"}])
    assert task.metric_names[-2:] == ["wave_f1", "wave_hits"]
    classes = torch.randint(4, (20,))
    target = torch.stack([torch.rand(20), classes / 3], dim=1)
    outputs = task(torch.randn(20, 6))
    for rows in (slice(0, 12), slice(12, 20)):
        part = {name: raw[rows] for name, raw in outputs.items()}
        task.observe("test", part, {"image": torch.empty(0), "target": target[rows]})
    results = task.results("test")
    assert list(results) == task.metric_names
    predicted = outputs["wave"].argmax(dim=1)
    assert float(results["wave_f1"]) == pytest.approx(f1_score(classes, predicted, average="macro"), abs=1e-6)
    assert float(results["wave_hits"]) == pytest.approx(recall_score(classes, predicted, average="micro"), abs=1e-6)
    assert float(results["wave_hits"]) == pytest.approx(float(results["wave_acc"]))


def test_by_default_there_are_none():
    assert not [name for name in task_of().metric_names if name.startswith("wave_") and name not in _usual()]


def _usual():
    return ("wave_acc", "wave_loss")


def test_parameters_without_categories_have_none():
    with pytest.raises(UserError, match=r"^model.task.metrics: given, but no head predicts categories"):
        task_of(DatasetSpec("t", SPEC.inputs, ParameterSpace([CUTOFF])), metrics="f1")
