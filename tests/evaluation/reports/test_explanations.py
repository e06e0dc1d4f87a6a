"""Explanations in a page: their maps as bytes, and which samples have one."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from src.data.vimh_datamodule import VIMHDataModule
from src.evaluation.explain import Explanation, explain
from src.evaluation.reports.examples import chosen_rows, true_images
from src.evaluation.reports.explanations import explain_examples, explanation_data
from src.models.build import load_checkpoint
from tests.evaluation.reports.predictions import predicted


@pytest.fixture(scope="module")
def model(trained):
    return load_checkpoint(trained.best)


@pytest.fixture(scope="module")
def samples(model, saw_data):
    """Predictions for as many samples as the test split has, and the true images of the examples."""
    errors = np.random.default_rng(0).random((len(saw_data), len(model.spec.space)))
    predictions = predicted(errors, parameters=model.spec.space)
    rows = list(chosen_rows(predictions))
    return predictions, true_images(predictions.truth[rows], rows, saw_data, None)


@pytest.fixture(scope="module")
def saw_data(saw):
    return VIMHDataModule(saw).dataset("test")


def array(packed, size):
    return np.frombuffer(base64.b64decode(packed["base64"]), np.uint8).reshape(-1, *size)


def test_maps_are_means_of_blocks_on_a_signed_scale_with_the_highest_frequency_at_the_top(model):
    gradients = np.zeros((2, 128, 32))
    gradients[0, 0:2, 0] = (1.0, 3.0)  # one block at the lowest frequency
    gradients[0, 126:128, 31] = -0.5  # a quarter of it, below 0
    found = explanation_data(model, Explanation(gradients, np.zeros(2), gradients, abs(gradients) / 3, ["a", "b"]))
    assert found["size"] == (64, 32) and found["bands"] == ["a", "b"]
    maps = array(found["gradients"], found["size"])
    assert maps[0, 63, 0] == 255 and maps[0, 0, 31] == 128 - 64  # the square root of a quarter
    assert (maps[0] != 128).sum() == 2 and (maps[1] == 128).all()
    cams = array(found["cams"], found["size"])
    assert cams[0, 63, 0] == 170 and cams[0, 0, 31] == 42  # 255 times 2/3 and 1/6


def test_the_maps_of_ten_parameters_stay_small(model):
    maps = np.random.default_rng(0).normal(size=(10, 128, 256))
    found = explanation_data(model, Explanation(maps, np.zeros(10), maps, abs(maps) / 8, ["a"] * 10))
    assert len(json.dumps(found)) < 120_000  # of one sample


def test_the_first_examples_are_explained_as_by_the_command(model, samples, saw_data):
    predictions, true = samples
    found, sentence = explain_examples(predictions, model, true)
    assert len(found) == 3 and sentence.startswith("The page explains the best, the median and the worst only")
    for each, image, scale in zip(found, *true, strict=False):
        floats = np.float32(image)[None] / 255
        expected = explain(model, torch.from_numpy(floats), torch.from_numpy(scale[None]))
        assert each["bands"] == expected.bands
        maps = (array(each["gradients"], each["size"]).astype(float) - 128) / 127
        share = expected.gradients / abs(expected.gradients).max(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(maps[:, ::-1] * abs(maps[:, ::-1]), share, atol=1 / 127)


def test_what_cannot_be_explained_is_told_in_a_sentence(model, samples):
    predictions, true = samples
    assert explain_examples(predictions, None, true)[1].startswith("No explanations: the checkpoint")
    assert explain_examples(predictions, model, None)[1].startswith("No explanations: the images of these")
    narrow = [image[:, :, :-1] for image in true[0]], true[1]
    infinite = replace(predictions, value=np.full_like(predictions.value, np.nan))
    for given in ((predictions, model, narrow), (infinite, model, true)):
        found, sentence = explain_examples(*given)
        assert found == [] and sentence.startswith("No explanations: the images have several shapes")
