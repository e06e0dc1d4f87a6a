"""Metrics by short names against scikit-learn and formulas, in batches; wrong configs are one line."""

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from torchmetrics.segmentation import DiceScore

from src.cli.monitor import HIGHER
from src.models.named_metrics import OF_BOXES, OF_CLASSES, BoxMetrics, ClassMetrics
from src.utils.errors import UserError
from tests.models.losses.boxes.test_overlap import FIRST, SECOND
from tests.models.losses.boxes.test_overlap import reference as loss_of_boxes

GENERATOR = torch.Generator().manual_seed(0)
LOGITS, TRUE = torch.randn(60, 3, generator=GENERATOR), torch.randint(3, (60,), generator=GENERATOR)
LOGITS[torch.arange(60), TRUE] += 1.0
P = LOGITS.softmax(dim=1)


def results(config, probabilities=P, true=TRUE, parts=3):
    found = ClassMetrics(config, probabilities.shape[1], "metrics")
    for pair in zip(probabilities.chunk(parts), true.chunk(parts), strict=True):
        found.update(*pair)
    values = {name: float(value) for name, value in found.results().items()}
    assert list(values) == found.names
    found.update(P[:1], TRUE[:1])  # it was reset
    assert not any(value > 1.0 for value in found.results().values())  # one sample has no AUROC
    return values


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_metrics_of_classes_are_those_of_scikit_learn(average):
    predicted = P.argmax(dim=1)
    found = results([{"metric": name, "average": average} for name in ("f1", "dice", "jaccard", "precision", "recall")])
    for name, score in (("f1", "f1"), ("dice", "f1"), ("jaccard", "jaccard"), ("precision",) * 2, ("recall",) * 2):
        expected = getattr(reference, f"{score}_score")(TRUE, predicted, average=average)
        assert found[name] == pytest.approx(expected, abs=1e-6), name


def test_auroc_is_counted_at_thresholds():
    exact = reference.roc_auc_score(TRUE, P, multi_class="ovr")
    assert results(["auroc"])["auroc"] == pytest.approx(exact, abs=0.01)
    assert results([{"metric": "auroc", "thresholds": 5000}])["auroc"] == pytest.approx(exact, abs=1e-3)


def test_auroc_leaves_out_classes_that_do_not_occur():
    scores, true = P[:40], torch.arange(40) % 5 // 3  # classes 0 and 1, of three
    each = np.array([reference.roc_auc_score(true == at, scores[:, at]) for at in range(2)])
    assert results([{"metric": "auroc", "thresholds": 5000}], scores, true)["auroc"] == pytest.approx(
        each.mean(), abs=1e-3
    )
    weighted = [{"metric": "auroc", "thresholds": 5000, "average": "weighted"}]
    expected = np.average(each, weights=np.bincount(true))
    assert results(weighted, scores, true)["auroc"] == pytest.approx(expected, abs=1e-3)
    alone = ClassMetrics("auroc", 3, "metrics")
    alone.update(scores, torch.zeros(40, dtype=torch.int64))
    assert alone.results()["auroc"].isnan()


def test_maps_count_every_pixel_of_all_images():
    p, true = P.reshape(2, 5, 6, 3).permute(0, 3, 1, 2), TRUE.reshape(2, 5, 6)
    assert results(list(OF_CLASSES), p, true, 2) == pytest.approx(results(list(OF_CLASSES)), abs=1e-6)
    dice = DiceScore(3, input_format="index", aggregation_level="global")(p.argmax(dim=1), true)
    assert results("dice", p, true, 2)["dice"] == pytest.approx(float(dice), abs=1e-6)


def test_the_mode_of_torch_is_kept_and_memory_is_small_in_it():
    torch.set_deterministic_debug_mode("warn")
    try:
        found = ClassMetrics(["auroc", "f1"], 30, "metrics")
        found.update(torch.rand(500, 30).softmax(dim=1), torch.randint(30, (500,)))  # 300 GB by comparing all numbers
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.set_deterministic_debug_mode("default")


def test_other_names_are_possible():
    found = results(["f1", {"metric": "f1", "name": "f1_micro", "average": "micro"}])
    assert found["f1_micro"] == pytest.approx(float((P.argmax(dim=1) == TRUE).float().mean())) != found["f1"]


def test_metrics_of_boxes_are_means_over_pairs():
    found = BoxMetrics(list(OF_BOXES), "metrics")
    one, other = torch.tensor(FIRST).float(), torch.tensor(SECOND).float()
    for part in (slice(0, 3), slice(3, 4)):
        found.update(one[part], other[part])
    values = found.results()
    assert set(values) == set(OF_BOXES)
    for name, value in values.items():
        pairs = zip(FIRST, SECOND, strict=True)
        assert float(value) == pytest.approx(1 - np.mean([loss_of_boxes(name, *pair) for pair in pairs]), abs=1e-5)


@pytest.mark.parametrize(
    ("config", "cause"),
    [
        (["f2"], "no metric 'f2'. Known: "),
        (["jacard"], "no metric 'jacard'. Did you mean 'jaccard'?"),
        (3, "3 given; give a list of names"),
        ([3], "3 given; give a name, or {metric: NAME} with arguments"),
        ([{"average": "micro"}], "{'average': 'micro'} given; give a name"),
        ([{"metric": "f1", "averge": "micro"}], "f1.averge: no such argument. Did you mean 'average'?"),
        ([{"metric": "f1", "average": "none"}], "f1.average: 'none' given; give one of macro, micro, weighted"),
        ([{"metric": "f1", "thresholds": 3}], "f1: Unexpected keyword arguments: `thresholds`"),
        ([{"metric": "auroc", "thresholds": "many"}], "auroc: "),
        ([{"metric": "auroc", "thresholds": -1}], "auroc.thresholds: -1 given; give at least 1"),
        ([{"metric": "f1", "top_k": 0}], "f1.top_k: 0 given; give at least 1"),
        ([{"metric": "f1", "name": "acc"}], "name: 'acc' given; give another"),
        ([{"metric": "f1", "name": "F1 score"}], "name: 'F1 score' given; give another"),
        (["f1", "f1"], "name: 'f1' given; give another"),
        (["box_iou"], "no metric 'box_iou'."),
    ],
)
def test_a_wrong_config_is_one_line(config, cause):
    with pytest.raises(UserError) as raised:
        ClassMetrics(config, 3, "metrics")
    assert str(raised.value).startswith(("metrics: " + cause, "metrics." + cause)) and "\n" not in str(raised.value)


def test_a_run_cannot_keep_the_lowest_of_any_of_them():
    assert {f"_{name}" for name in OF_CLASSES} <= set(HIGHER)


def _one_of_two(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/init", rank=rank, world_size=2)
    found = ClassMetrics(list(OF_CLASSES), 3, "metrics")
    if rank == 0:  # the other has no sample
        found.update(P, TRUE)
    torch.save(found.results(), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_several_processes_have_the_results_of_one(tmp_path):
    torch.multiprocessing.spawn(_one_of_two, args=(tmp_path,), nprocs=2)
    expected = results(list(OF_CLASSES))
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == pytest.approx(expected)
