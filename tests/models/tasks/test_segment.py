"""The segment task: losses and metrics of numpy, and what it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from src.data.spec import DatasetSpec
from src.models.components.unet import UNet
from src.models.feature_distribution import described
from src.models.tasks.parameters import parameters_of
from src.models.tasks.segment import SegmentTask, map_task_of
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError
from tests.models.test_unet import MAPS

SHAPE = MAPS.image_shape


def model_of(**options):
    torch.manual_seed(0)
    return VIMHLitModule(MAPS, UNet, task=lambda **given: SegmentTask(**given, **options))


def batch_of(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(size, *SHAPE, generator=generator)
    return {"image": image, "map": (3 * image[:, 0]).to(torch.uint8)}


def test_the_loss_and_the_metrics_are_those_of_numpy():
    model, batches = model_of(metrics=["jaccard"]), [batch_of(5), batch_of(2, 1)]
    costs, rights = [], []
    for batch in batches:
        outputs = model(batch["image"])
        true = batch["map"].numpy().astype(int)
        logits = outputs["map"].detach().double().numpy()
        assert logits.shape == (len(true), 3, *SHAPE[1:])
        cost = -np.take_along_axis(log_softmax(logits, axis=1), true[:, None], axis=1)
        losses, terms = model.heads.batch_losses(outputs, batch)
        assert losses.item() == pytest.approx(cost.mean(), rel=1e-5) and terms.tolist() == losses.tolist()
        costs.append(cost.ravel())
        rights.append((logits.argmax(axis=1) == true).ravel())
        assert torch.equal(model.values(batch["image"]), outputs["map"].argmax(dim=1))
        model.heads.observe("val", outputs, batch)
    model.heads.observe("val", None, {"image": torch.empty(0, *SHAPE)})
    results = model.heads.results("val")
    assert list(results) == model.heads.metric_names == ["map_loss", "map_acc", "map_jaccard"]
    assert float(results["map_loss"]) == pytest.approx(np.concatenate(costs).mean(), rel=1e-5)
    assert float(results["map_acc"]) == pytest.approx(np.concatenate(rights).mean(), rel=1e-5)
    assert 0.0 < float(results["map_jaccard"]) < 1.0


@pytest.mark.parametrize(
    "loss",
    [
        "dice",
        "soft_iou",
        {"_target_": "tversky", "alpha": 0.3, "beta": 0.7},
        {"_target_": "focal", "alpha": [0.5, 1.0, 2.0]},
        "dice_cross_entropy",
        "torch.nn.CrossEntropyLoss",
        {"_target_": "weighted_multi", "losses": [{"loss": "dice"}, {"loss": "focal", "weight": 0.5}]},
    ],
    ids=str,
)
def test_every_loss_of_maps_learns_them(loss):
    model, batch = model_of(loss=loss), batch_of(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    found = []
    for _ in range(15):
        optimizer.zero_grad()
        found.append(model.heads.batch_losses(model(batch["image"]), batch)[0].sum())
        found[-1].backward()
        optimizer.step()
    assert found[-1].item() < 0.9 * found[0].item()


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"loss": "l1"}, r"^model.task.loss: DistanceLoss takes no maps; give cross_entropy"),
        ({"loss": "dise"}, r"^model.task.loss: .*Did you mean 'dice'\?"),
        (
            {"loss": {"_target_": "focal", "alpha": [1, 2]}},
            r"^model.task.loss: focal: num_classes: 3 given; alpha has 2",
        ),
        ({"metrics": ["iou"]}, r"^model.task.metrics: no metric 'iou'"),
    ],
)
def test_a_wrong_loss_or_metric_is_one_line(options, cause):
    with pytest.raises(UserError, match=cause) as raised:
        model_of(**options)
    assert "\n" not in str(raised.value)


def test_data_without_maps_are_refused():
    with pytest.raises(UserError, match=r"^t: has no maps; give a dataset that has, as in data=notes"):
        VIMHLitModule(replace(MAPS, map_classes=()), UNet, task=SegmentTask)
    model = model_of()
    with pytest.raises(UserError, match=r"^task=segment: the data has no maps"):
        model.heads.batch_losses(model(torch.rand(1, *SHAPE)), {"image": torch.rand(1, *SHAPE)})


def test_a_model_that_segments_predicts_no_parameters():
    model = model_of()
    assert map_task_of(model) is model.heads
    with pytest.raises(UserError, match="this model predicts no parameters"):
        parameters_of(model)


def test_the_description_of_a_sound_holds_the_mean_features():
    model, image = model_of(), torch.rand(2, *SHAPE)
    features = model.features(image)
    assert features.shape == (2, 8, *SHAPE[1:]) and model.distances(image, features).isnan().all()
    found = described(image, features)
    assert found.shape == (2, model.description_size)
    assert torch.allclose(found[:, :8], features.flatten(2).mean(dim=2), atol=1e-6)


def test_the_classes_of_maps_are_kept_in_checkpoints_and_older_ones_have_none():
    assert DatasetSpec.from_dict(MAPS.to_dict()) == MAPS
    without = replace(MAPS, map_classes=())
    assert "map_classes" not in without.to_dict() and DatasetSpec.from_dict(without.to_dict()) == without
