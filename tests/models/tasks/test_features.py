"""The features task: its losses and metrics against numpy, and what it learns against principal components."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.models.tasks.features import FeaturesTask
from src.models.tasks.parameters import parameters_of
from src.models.vimh_lit_module import VIMHLitModule
from src.utils.errors import UserError

SHAPE = (2, 3, 4)
SPEC = DatasetSpec("t", Inputs(SHAPE, "image", mean=(0.5, 0.25), std=(0.5, 2.0)), None)


class Linear(nn.Module):
    """The simplest network: features are a linear map of the pixels."""

    normalised_input = True
    feature_dim = 3

    def __init__(self, in_channels, image_size):
        super().__init__()
        self.layer = nn.Linear(in_channels * image_size[0] * image_size[1], self.feature_dim)

    def forward(self, image):
        return self.layer(image.flatten(1))


def images_of_rank(count, rank, seed=0):
    """Images whose pixels vary in `rank` strong directions, and weakly in all others."""
    random = np.random.default_rng(seed)
    pixels = random.normal(size=(count, rank)) @ random.normal(size=(rank, np.prod(SHAPE)))
    pixels += 0.1 * random.normal(size=pixels.shape)
    return torch.from_numpy(pixels).float().reshape(count, *SHAPE)


def model_of(spec=SPEC):
    torch.manual_seed(0)
    return VIMHLitModule(spec, Linear, task=FeaturesTask)


def normalised(image):
    mean, std = (np.array(values)[:, None, None] for values in (SPEC.inputs.mean, SPEC.inputs.std))
    return (image.double().numpy() - mean) / std


def test_the_loss_and_the_metrics_are_those_of_numpy():
    model, batches = model_of(), [{"image": torch.rand(size, *SHAPE)} for size in (5, 2)]
    squares, absolutes = [], []
    for batch in batches:
        outputs = model(batch["image"])
        found = outputs["image"].detach().double().numpy().reshape(-1, *SHAPE)
        error = found - normalised(batch["image"])
        losses, terms = model.heads.batch_losses(outputs, batch)
        assert losses.item() == pytest.approx(np.mean(error**2), rel=1e-5) and terms.tolist() == losses.tolist()
        squares.append(error**2)
        absolutes.append(np.abs(model.values(batch["image"]).detach().double().numpy() - batch["image"].numpy()))
        model.heads.observe("val", outputs, batch)
    model.heads.observe("val", None, {"image": torch.empty(0, *SHAPE)})
    results = model.heads.results("val")
    assert set(results) == set(model.heads.metric_names)
    assert float(results["image_loss"]) == pytest.approx(np.concatenate(squares).mean(), rel=1e-5)
    assert float(results["image_mae"]) == pytest.approx(np.concatenate(absolutes).mean(), rel=1e-5)
    assert float(model.heads.metrics["val"].count) == 0.0  # it was reset


def test_a_linear_network_finds_as_much_as_the_principal_components():
    model, image = model_of(), images_of_rank(400, Linear.feature_dim)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2000, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        found = model.heads.batch_losses(model(image), {"image": image})[0].sum()
        found.backward()
        return found

    optimizer.step(loss)
    pixels = normalised(image).reshape(len(image), -1)
    components = PCA(Linear.feature_dim).fit(pixels)
    best = np.mean((components.inverse_transform(components.transform(pixels)) - pixels) ** 2)
    assert best * (1 - 1e-5) <= loss().item() <= 1.001 * best < 0.01 * np.mean(pixels**2)


def test_a_model_that_learns_features_predicts_no_parameters():
    model = model_of()
    for call in (model.predict, lambda image: parameters_of(model)):
        with pytest.raises(UserError, match="this model predicts no parameters"):
            call(torch.rand(1, *SHAPE))
    assert model.heads.points(model(torch.rand(1, *SHAPE)), {"image": torch.rand(1, *SHAPE)}) is None


def test_images_of_another_shape_are_refused():
    model, image = model_of(), torch.rand(1, 2, 4, 3)
    with pytest.raises(UserError, match=r"an image of shape \(2, 4, 3\) given, but \(2, 3, 4\)"):
        model.heads.batch_losses(model(image), {"image": image})


def test_a_dataset_without_labels_names_the_task_that_needs_none():
    with pytest.raises(UserError, match=r"t: has no labels; .*task=features"):
        VIMHLitModule(SPEC, Linear)
    restored = DatasetSpec.from_dict(SPEC.to_dict())
    assert restored == SPEC and restored.targets is None


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"std": [0.0]}, "std"),
        ({"mean": [0.1, 0.2, 0.3]}, "one for each of 2 channels"),
        ({"value_range": [1.0, 0.0]}, "value_range"),
        ({"kind": "sound"}, "kind"),
        ({"mean": [float("nan")]}, "mean"),
    ],
)
def test_damaged_inputs_are_one_line(change, cause):
    plain = SPEC.to_dict()
    plain["inputs"] |= change
    with pytest.raises(UserError, match=cause) as raised:
        DatasetSpec.from_dict(plain)
    assert "\n" not in str(raised.value)


def test_every_network_that_asks_for_it_gets_normalised_images():
    seen = {}

    class Seeing(Linear):
        def forward(self, image):
            seen[self.normalised_input] = image
            return super().forward(image)

    class Plain(Seeing):
        normalised_input = False

    image = torch.rand(4, *SHAPE)
    for network in (Seeing, Plain):
        VIMHLitModule(replace(SPEC, name="u"), network, task=FeaturesTask)(image)
    np.testing.assert_allclose(seen[True].numpy(), normalised(image), rtol=1e-5, atol=1e-6)
    assert seen[False] is image or torch.equal(seen[False], image)


def test_a_network_around_one_that_asks_for_it_has_to_decide():
    class Around(nn.Module):
        feature_dim = Linear.feature_dim

        def __init__(self, **shape):
            super().__init__()
            self.inner = Linear(**shape)

        def forward(self, image):
            return self.inner(image)

    with pytest.raises(UserError, match=r"^model.network: Around contains Linear, .* set normalised_input = True"):
        VIMHLitModule(SPEC, Around, task=FeaturesTask)
    for Around.normalised_input in (True, False):
        VIMHLitModule(SPEC, Around, task=FeaturesTask)(torch.rand(1, *SHAPE))


def test_the_normalisation_of_spectral_images_does_not_round():
    scale, offset = Inputs((1, 2, 2)).scale_and_offset()
    image = torch.rand(1000, 1, 2, 2)
    assert torch.equal(scale * image + offset, 4.0 * image - 1.0)
