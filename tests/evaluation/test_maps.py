"""Results of maps against loops over pixels and scikit-learn, and their table on 80 columns."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from src.data.dataset import BatchDataset
from src.evaluation.evaluate import Evaluation, require_same_targets
from src.evaluation.map_tables import map_table
from src.evaluation.maps import confusion_counts, map_results, overlap, read_map_results
from src.evaluation.tables import print_evaluation, write_evaluation
from src.utils.errors import UserError
from tests.models.tasks.test_segment import MAPS, batch_of, model_of


class Images(BatchDataset):
    """Random images and maps; the rule always finds the second class."""

    def __init__(self, size, seed, rule=True):
        self.spec, self.rule = MAPS, rule
        self.batch = batch_of(size, seed)
        self.batch["image"] = (255 * self.batch["image"]).to(torch.uint8)

    def __len__(self):
        return len(self.batch["image"])

    def __getitems__(self, indices):
        return {name: values[torch.as_tensor(indices)] for name, values in self.batch.items()}

    def maps_by_rule(self):
        return (np.ones_like(self.batch["map"].numpy()), "always lower") if self.rule else None


@pytest.fixture(scope="module")
def tested():
    model, splits = model_of(), {"train": Images(30, 5), "test": Images(20, 6)}
    return model, splits, map_results(model, SimpleNamespace(dataset=splits.__getitem__))


def test_confusion_counts_are_those_of_a_loop():
    true, predicted = np.random.default_rng(0).integers(0, 3, (2, 4, 5, 6))
    expected = np.zeros((4, 3, 3), int)
    for image in range(4):
        for y, p in zip(true[image].ravel(), predicted[image].ravel(), strict=True):
            expected[image, y, p] += 1
    assert np.array_equal(confusion_counts(true.astype(np.uint8), predicted.astype(np.uint8), 3), expected)


def test_overlap_is_undefined_for_a_class_that_does_not_occur():
    table = np.array([[[8, 2, 0], [1, 3, 0], [0, 0, 0]]])
    np.testing.assert_allclose(overlap(table)[0], [16 / 19, 6 / 9, np.nan])
    np.testing.assert_allclose(overlap(table, iou=True)[0], [8 / 11, 3 / 6, np.nan])


def test_results_are_those_of_scikit_learn_beside_two_baselines(tested):
    model, splits, found = tested
    test = splits["test"]
    predicted = model.values(test.batch["image"].float() / 255).numpy().ravel()
    true = test.batch["map"].numpy().ravel()
    usual = np.bincount(splits["train"].batch["map"].numpy().ravel()).argmax()
    columns = {"value": predicted, "most_frequent": np.full_like(true, usual), "rule": np.ones_like(true)}
    for field, column in columns.items():
        figures = {figure.name: getattr(figure, field) for figure in found.figures}
        iou, dice = (score(true, column, average=None) for score in (jaccard_score, f1_score))
        assert figures["pixel accuracy"] == pytest.approx(accuracy_score(true, column))
        assert figures["mean IoU"] == pytest.approx(iou.mean()) and figures["mean Dice"] == pytest.approx(dice.mean())
        for at, name in enumerate(MAPS.map_classes):
            assert figures[f"IoU, {name}"] == pytest.approx(iou[at])
            assert figures[f"Dice, {name}"] == pytest.approx(dice[at])
    assert found.most_frequent == MAPS.map_classes[usual]
    np.testing.assert_allclose(found.shares, np.bincount(true) / len(true))
    for figure in found.figures:
        assert figure.interval[0] < figure.value < figure.interval[1], figure.name
    assert np.array_equal(found.drawn.true, test.batch["map"][:4])


def evaluation_of(maps):
    return Evaluation("t", 20, None, None, {"test/map_loss": 1.0}, (), (), None, maps=maps)


def test_results_are_written(tested, tmp_path):
    evaluation = evaluation_of(tested[2])
    write_evaluation(evaluation, tmp_path)
    assert (tmp_path / "maps.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "test_results.md").read_text()
    assert "| IoU, higher |" in text and "always lower" in text
    written = evaluation.to_json().decode()
    assert '"mean Dice"' in written and "drawn" not in written and "NaN" not in written
    again = read_map_results(json.loads(written)["maps"])
    assert map_table(again) == map_table(tested[2])


@pytest.mark.parametrize("rule", [True, False])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_results_fit_the_screen(tested, capsys, monkeypatch, rule, width):
    monkeypatch.setenv("COLUMNS", str(width))
    model, splits, _ = tested
    splits = {"train": splits["train"], "test": Images(20, 6, rule)}
    found = map_results(model, SimpleNamespace(dataset=splits.__getitem__))
    print_evaluation(evaluation_of(found))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("pixel accuracy") and " %" in line for line in lines)
    columns, rows, _ = map_table(found)
    assert all(len(row) == len(columns) == 4 + rule for row in rows)


def test_results_of_other_models_are_written_as_before():
    assert '"maps"' not in Evaluation("t", 20, None, None, {}, (), (), None).to_json().decode()


def test_a_test_on_maps_of_other_classes_is_refused():
    other = replace(MAPS, name="u", map_classes=("none", "note"))
    with pytest.raises(UserError, match=r"^u: the classes of its maps are none, note, but the model was trained on"):
        require_same_targets(MAPS, other)
    require_same_targets(MAPS, other, labels=False)
