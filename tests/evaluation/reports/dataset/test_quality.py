"""The quality of a dataset: what is wrong with one that was made wrong, and counts that equal NumPy's."""

import json

import numpy as np
import pytest

from src.data.generate import generate
from src.data.inputs import Inputs
from src.data.spec import DatasetSpec
from src.data.vimh.records import CURRENT_METADATA_BYTES, pack_records
from src.data.vimh.writer import DatasetWriter
from src.evaluation.reports.dataset import checks
from src.evaluation.reports.dataset.quality import measure_quality, open_splits, print_quality
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests.data.conftest import tiny_recipe

SPACE = ParameterSpace(
    [
        ParameterSpec(name="level", min=0, max=1, step=0.25),
        ParameterSpec(name="wave", values=("saw", "sine", "noise")),
    ]
)


def written(directory, train, test, images=None):
    """Write labels (n, 2) of two splits with random images (n, 4, 4), or those given; return the opened splits."""
    counts = {"train": len(train), "test": len(test)}
    spec = DatasetSpec("made", Inputs((1, 4, 4)), SPACE, counts=counts, metadata_bytes=CURRENT_METADATA_BYTES)
    draw = np.random.default_rng(0)
    with DatasetWriter(directory, spec) as writer:
        for split, values in (("train", train), ("test", test)):
            levels = draw.integers(1, 256, (len(values), 4, 4), np.uint8) if images is None else images[split]
            scale = np.tile(np.float32([-80, 0]), (len(values), 1))
            writer.write(
                split, np.arange(len(values)), pack_records(levels[:, None], SPACE.to_byte(values), scale), values
            )
    return open_splits(directory)


def states(quality):
    return {check.name: check.state for check in quality.checks}


def test_levels_are_counted_in_each_split(tmp_path):
    train, test = SPACE.sample(0, 0, 400), SPACE.sample(1, 0, 100)
    quality = measure_quality(written(tmp_path / "made", train, test))
    assert quality.counts == {"train": 400, "test": 100}
    for at, values in enumerate((train, test)):
        parts = np.histogram(values[:, 0], np.linspace(0, 1, 6))[0]
        np.testing.assert_array_equal(quality.samples["level"][:, at], parts)
        np.testing.assert_array_equal(quality.samples["wave"][:, at], np.bincount(values[:, 1].astype(int)))
    plain = json.loads(quality.to_json())
    assert plain["levels"]["wave"]["test"] == np.bincount(test[:, 1].astype(int)).tolist()
    assert states(quality)["Even levels"] == states(quality)["Labels vary"] == "pass"


def test_constant_and_uneven_labels_are_found(tmp_path):
    train, test = SPACE.sample(0, 0, 400), SPACE.sample(1, 0, 100)
    train[:, 0] = test[:, 0] = 0.5
    train[:, 1] = np.arange(400) < 20
    found = states(measure_quality(written(tmp_path / "made", train, test[test[:, 1] < 2])))
    assert (found["Labels vary"], found["Coverage of the ranges"], found["Even levels"]) == ("fail", "fail", "pass")
    train[:, 1] = np.arange(400) < 5
    quality = measure_quality(written(tmp_path / "more", train, test[:1] * [1, 0]))
    (check,) = [check for check in quality.checks if check.name == "Even levels"]
    assert check.state == "warn" and check.why == "The most and the least frequent level: wave 396 to 5 samples."


@pytest.mark.parametrize(("change", "found"), [(0, 0), (1, 20), (60, 0)])
def test_near_copies_are_found_between_splits(tmp_path, change, found):
    train, test = SPACE.sample(0, 0, 100), SPACE.sample(1, 0, 50)
    train[:, 0], test[:, 0] = np.linspace(0, 0.99, 100), np.linspace(0.005, 0.995, 50)  # over a byte apart
    test[:20] = train[:20]
    test[:20, 0] = np.clip(train[:20, 0] + 1e-4, 0, 1)
    draw = np.random.default_rng(0)
    images = {"train": draw.integers(100, 190, (100, 4, 4)), "test": draw.integers(100, 190, (50, 4, 4))}
    images["test"][:20] = images["train"][:20]
    images["test"][:20, 1, 2] += change
    images = {split: levels.astype(np.uint8) for split, levels in images.items()}
    splits = written(tmp_path / "made", train, test, images)
    check = checks.check_near_copies(splits, {split: dataset.targets() for split, dataset in splits.items()})
    if not found:
        assert check.state == "pass" and "none has almost the same image" in check.why
    else:
        assert check.state == "warn" and f"{found} of them that of a sample of another split" in check.why


def test_a_dataset_of_this_program_passes_and_its_table_fits(tmp_path, capsys):
    directory, _ = generate(tiny_recipe(), tmp_path)
    quality = measure_quality(open_splits(directory))
    assert set(states(quality).values()) <= {"pass", "unknown"}
    print_quality(quality, "tiny", "150 samples")
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80 and "note_velocity" in printed
