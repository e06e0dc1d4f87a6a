"""The rows of benchmarks/augmentation.py and configs/augment are known transforms, and verdicts are Student's."""

import sys

import numpy as np
import pytest
import yaml
from scipy import stats

from src.data.augment.augmentation import TRANSFORMS, parse_augmentation
from tests import running

sys.path.insert(0, str(running.ROOT / "benchmarks"))
import augmentation

PRESETS = sorted(path.stem for path in (running.CONFIGS / "augment").glob("*.yaml"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_holds_transforms_of_one_kind_of_images(name):
    text = (running.CONFIGS / f"augment/{name}.yaml").read_text()
    found = parse_augmentation(yaml.safe_load(text), 0)
    assert text.startswith("# @package data.augment\n") and (found is None) == (name == "none")
    if found is not None:
        assert set.intersection(*(set(transform.inputs) for transform in found.transforms.values()))


def test_rows_name_transforms_and_presets_that_exist_and_each_has_a_key():
    keys = []
    for dataset, rows in augmentation.TRANSFORMS.items():
        for transform in (augmentation.NONE, *rows):
            keys.append(augmentation.key(dataset, transform, 0))
            word = rows.get(transform, "")
            if word.startswith("augment="):
                assert word.removeprefix("augment=") in PRESETS
            elif word:
                name, settings = word.removeprefix("+data.augment.").split("=", 1)
                assert parse_augmentation({name: yaml.safe_load(settings)}, 0) is not None
    assert len(set(keys)) == len(keys)
    measured = {name for rows in augmentation.TRANSFORMS.values() for name in rows}
    left_out = {"frequency_shift", "tilt", "reverberation", "rand_augment"}  # refused for moog_basic; a preset has it
    assert measured >= set(TRANSFORMS) - left_out


def test_verdicts_are_those_of_a_paired_test():
    random = np.random.default_rng(0)
    for shift in (-3.0, 0.0, 3.0):
        first, second = random.normal(size=(2, 6))
        text, verdict = augmentation.compared(first + shift - second)
        found = stats.ttest_rel(first + shift, second)
        low, high = found.confidence_interval()
        assert text == f"{low:+.2g} to {high:+.2g}"
        assert verdict == ("unclear" if found.pvalue > 0.05 else "helps" if found.statistic < 0 else "hurts")
    assert augmentation.compared(np.zeros(1)) == ("", "")
