"""The Frechet distance against closed forms and scipy's matrix square root."""

import numpy as np
import pytest
import scipy.linalg
import torch

from src.evaluation.metrics.frechet import fad_logmel, frechet_distance, log_mel_statistics
from src.utils.errors import UserError
from tests.evaluation.metrics.sounds import noise


def embeddings(count=400, dims=5, seed=0):
    mixing = np.random.default_rng(9).normal(size=(dims, dims))
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, dims)) @ mixing)


def test_equal_sets_a_shift_and_a_scale_have_closed_forms():
    first = embeddings()
    shift = torch.tensor([3.0, 0, -4.0, 0, 0])
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(first, first.flip(0)) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(first + shift, first) == pytest.approx(25, rel=1e-9)
    independent = first - first.mean(dim=0)
    independent = torch.linalg.qr(independent).Q * 20  # columns without correlation
    wider = independent * torch.tensor([3.0, 1, 1, 1, 1])
    assert frechet_distance(wider, independent) == pytest.approx(4 * independent[:, 0].var().item(), rel=1e-6)


def test_distances_are_those_of_scipys_square_root_and_symmetric():
    first, second = embeddings(), embeddings(300, seed=1) * 1.5 + 0.2
    covariances = first.T.cov().numpy(), second.T.cov().numpy()
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    means = (first.mean(0) - second.mean(0)).square().sum().item()
    expected = means + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(second, first) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_singular_covariances_give_a_finite_distance(rank):
    """scipy's square root of such a product has imaginary parts or NaN."""
    first, second = embeddings(), embeddings(seed=1)
    first[:, rank:], second[:, rank:] = 1.0, 1.0
    distance = frechet_distance(first, second)
    assert isinstance(distance, float) and np.isfinite(distance) and distance >= 0


def test_sets_of_sounds_by_log_mel_statistics():
    quiet = noise(260, 800)
    assert log_mel_statistics(quiet[:3], 8000).shape == (3, 128)
    assert fad_logmel(quiet, quiet, 8000) == pytest.approx(0, abs=1e-3)
    # a gain of 6.02 dB moves the mean of each of the 64 bands
    assert fad_logmel(2 * quiet, quiet, 8000) == pytest.approx(64 * 6.0206**2, rel=1e-3)


def test_another_embedder_takes_the_place_of_the_statistics():
    calls = []

    def embed(audio):
        calls.append(audio.shape)
        return torch.stack([audio.mean(dim=1), audio.std(dim=1)], dim=1)

    assert fad_logmel(noise(10, 50) + 1, noise(12, 60), 8000, embed) == pytest.approx(1, abs=0.1)
    assert calls == [(10, 50), (12, 60)]


def test_what_has_no_distance_is_refused_in_one_line():
    with pytest.raises(UserError, match="255 clips given, but embeddings of 128 values need at least 256") as raised:
        fad_logmel(noise(255, 400), noise(300, 400), 8000)
    assert "\n" not in str(raised.value)
    with pytest.raises(UserError, match="not finite"):
        frechet_distance(embeddings(), torch.full((400, 5), torch.nan))
    with pytest.raises(UserError, match=r"shapes \(400, 5\) and \(400, 4\)"):
        frechet_distance(embeddings(), embeddings(dims=4))
