"""The benchmark of sets of images: commands that compose, baselines, and the page's table."""

import sys

import numpy as np
import pytest

from tests import running

sys.path.insert(0, str(running.ROOT / "benchmarks"))
import images


@pytest.mark.parametrize("row", images.ROWS)
def test_every_row_is_a_command_that_composes(row):
    assert running.composed("train", *row.words).data._target_.startswith("src.data.images.")


def test_neighbours_of_pixels_and_the_most_frequent_class_are_as_in_scikit_learn():
    datasets, neighbors = pytest.importorskip("sklearn.datasets"), pytest.importorskip("sklearn.neighbors")
    found = images.baselines("digits")
    pixels, classes = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(classes))  # another split: about the same figures
    train, test = order[:1438], order[1438:]
    model = neighbors.KNeighborsClassifier(5, weights="distance").fit(pixels[train], classes[train])
    assert found["nearest"] == pytest.approx(model.score(pixels[test], classes[test]), abs=0.02)
    assert 0.05 < found["frequent"] < 0.15


def test_the_table_has_means_over_seeds_beside_the_baselines(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "STORE", tmp_path / "images.json")
    row = images.ROWS[0]
    runs = {row.key(seed): {"parameters": 9986, "accuracy": 0.97 + 0.01 * seed, "cpu_seconds": 14.0} for seed in (0, 2)}
    images.keep(images.STORE, runs | {"baselines digits": {"nearest": 0.9832, "frequent": 0.0782}})
    assert images.table().splitlines()[2:] == [
        "| digits | experiment=digits | 9,986 | 98.00 ± 1.41 | 14 | 2 |",
        "| digits | 5 nearest neighbours of pixels |  | 98.32 |  |  |",
        "| digits | the most frequent class |  | 7.82 |  |  |",
    ]


def test_the_page_shows_the_committed_results():
    assert images.STORE.exists() and images.table() in (running.ROOT / "docs/images.md").read_text()
