"""Random numbers by counters: SplitMix64 as published, uniform, independent of batches, and the same for a sample."""

import numpy as np
import pytest
import torch
from scipy import stats

from src.data.augment.random import betas, mix, normals, other_samples, sample_keys, uniforms, whole_between, words

WORD = 2**64 - 1


def reference(state, count):
    """Return the words of SplitMix64 in unlimited integers, after the published C code."""
    found = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & WORD
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & WORD
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & WORD
        found.append(z ^ (z >> 31))
    return found


@pytest.mark.parametrize("seed", [0, 1234567, 2**63 - 1])
def test_words_are_those_of_splitmix64(seed):
    found = [int(word) & WORD for word in words(torch.tensor([seed]), 5)[0]]
    assert found == reference(seed, 5)


def test_words_of_a_known_seed_are_the_published_ones():
    found = [int(word) & WORD for word in words(torch.tensor([1234567]), 3)[0]]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_a_samples_numbers_do_not_depend_on_its_batch():
    together = uniforms(sample_keys(torch.arange(100), 3, 5, "gain"), 7)
    one = uniforms(sample_keys(torch.tensor([42]), 3, 5, "gain"), 7)
    assert torch.equal(together[42:43], one) and together.dtype == torch.float32


@pytest.mark.parametrize("other", [(4, 5, "gain"), (3, 6, "gain"), (3, 5, "tilt"), (5, 3, "gain")])
def test_numbers_change_with_seed_epoch_and_use(other):
    index = torch.arange(2000)
    first, second = (uniforms(sample_keys(index, *words), 1)[:, 0].numpy() for words in ((3, 5, "gain"), other))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.08 and len(np.intersect1d(first, second)) < 5


def test_uniforms_are_uniform_and_below_1():
    found = uniforms(sample_keys(torch.arange(500), 0, 0, "x"), 20).numpy()
    assert found.min() >= 0 and found.max() < 1
    assert stats.kstest(found.ravel(), "uniform").pvalue > 0.01
    assert stats.kstest(normals(torch.from_numpy(found)).numpy().ravel(), "norm").pvalue > 0.01
    ends = normals(torch.tensor([0.0, 1.0 - 2.0**-24]))
    assert torch.isfinite(ends).all() and ends[0] == -ends[1]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_betas_follow_their_distribution(alpha):
    found = betas(uniforms(sample_keys(torch.arange(5000), 0, 0, "x"), 1)[:, 0], alpha).numpy()
    assert stats.kstest(found, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_whole_numbers_reach_both_ends_evenly():
    found = whole_between(uniforms(sample_keys(torch.arange(6000), 0, 0, "x"), 1)[:, 0], -1, 1)
    counts = torch.bincount(found + 1)
    assert len(counts) == 3 and stats.chisquare(counts.numpy()).pvalue > 0.01
    assert int(whole_between(torch.tensor(1.0 - 2.0**-24), 0, 4095)) == 4095


def test_partners_are_spread_over_the_split_and_change_every_epoch():
    index = torch.arange(4000)
    first, second = (other_samples(index, 10, 0, epoch) for epoch in (0, 1))
    assert stats.chisquare(torch.bincount(first, minlength=10).numpy()).pvalue > 0.01
    assert int(first.max()) == 9 and 0.85 < float((first != second).float().mean()) < 0.95


def test_mix_is_a_bijection_on_a_sample():
    assert len(torch.unique(mix(torch.arange(10000)))) == 10000
