"""Generation: the same bytes however it is done, the spec's table of datasets, and splits that share no sample."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from src.data.generate import blocks, generate
from src.data.info import read_spec
from src.data.recipe import SPLITS, parse_recipe
from src.data.source import BLOCK, Source, load_source
from src.data.vimh_dataset import VIMHDataset
from src.spectral.front_end import FrontEnd
from src.utils.errors import UserError
from tests import running
from tests.data.conftest import TINY, tiny_recipe
from tests.data.references import read_info

FILES = [*SPLITS, *(f"{split}_params.npy" for split in SPLITS)]
ROOT = Path(__file__).parents[2]


def made(root, workers=None, allow_blind=False, **changes):
    return generate(tiny_recipe(**changes), root, workers=workers, allow_blind=allow_blind)[0]


def sums(directory):
    return [hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in FILES]


def values_of(directory):
    return {split: np.load(directory / f"{split}_params.npy") for split in SPLITS}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_bytes_do_not_depend_on_the_number_of_workers(tiny, tmp_path, workers):
    assert sums(made(tmp_path, workers)) == sums(tiny)


@pytest.mark.parametrize("sampling", ["random", "sobol", "grid"])
def test_bytes_are_a_function_of_the_seed(tmp_path, sampling):
    changes = {"dataset.sampling": sampling, "dataset.shuffle": True}
    first, again, other = (
        sums(made(tmp_path / str(number), **changes, **{"dataset.seed": seed})) for number, seed in enumerate([7, 7, 8])
    )
    assert first == again
    assert all(one != another for one, another in zip(first, other, strict=True))


@pytest.mark.parametrize("threads", [1, 4])
def test_bytes_do_not_depend_on_torchs_threads(tiny, tmp_path, threads):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert sums(made(tmp_path)) == sums(tiny)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def in_order(directory):
    """Return every record and value in the order of the samples' indices."""
    spec = read_spec(directory)
    split, row = tiny_recipe(**{"dataset.size": sum(spec.counts.values())}).place()
    datasets = [VIMHDataset(directory, name) for name in SPLITS]
    images = np.stack([datasets[s].records.gather(np.array([r]))[0][0] for s, r in zip(split, row, strict=True)])
    values = np.stack([datasets[s].values[r] for s, r in zip(split, row, strict=True)])
    return images, values


@pytest.mark.parametrize("size", [70, 129, 300])
def test_a_larger_dataset_begins_with_the_samples_of_a_smaller(tiny, tmp_path, size):
    images, values = in_order(made(tmp_path, **{"dataset.size": size}))
    least = min(size, 150)
    np.testing.assert_array_equal(images[:least], in_order(tiny)[0][:least])
    np.testing.assert_array_equal(values[:least], in_order(tiny)[1][:least])


def test_a_sample_is_a_function_of_seed_and_index_alone(tiny):
    """Any block, rendered by itself, is what the dataset holds there."""
    source = load_source(tiny_recipe())
    values, images, _ = source.block(1)
    expected_images, expected_values = in_order(tiny)
    np.testing.assert_array_equal(values, expected_values[BLOCK : 2 * BLOCK])
    np.testing.assert_array_equal(images, expected_images[BLOCK : 2 * BLOCK])
    np.testing.assert_array_equal(source.images(values[5:8])[0], images[5:8])


def test_long_clips_are_rendered_in_smaller_blocks_with_the_same_result(monkeypatch):
    source = load_source(tiny_recipe())
    whole = source.block(1)
    sizes, forward = [], FrontEnd.forward
    monkeypatch.setattr(FrontEnd, "forward", lambda self, audio: (sizes.append(len(audio)), forward(self, audio))[1])
    monkeypatch.setattr("src.data.source._MOST_VALUES", 10 * 800)
    for found, expected in zip(source.block(1), whole, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert sizes == [10] * 7


@pytest.mark.filterwarnings("ignore:The balance properties")  # of Sobol points, which this test draws 190 of
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("sampling", ["random", "sobol", "grid"])
def test_splits_share_no_sample_and_cover_all(tmp_path, sampling, shuffle):
    changes = {"dataset.sampling": sampling, "dataset.shuffle": shuffle, "dataset.size": 190}
    got = np.concatenate(list(values_of(made(tmp_path, **changes)).values()))
    assert len(np.unique(got, axis=0)) == 190
    drawn = load_source(tiny_recipe()).synth.space.sample(0, 0, 190, sampling)
    np.testing.assert_array_equal(np.unique(got, axis=0), np.unique(drawn, axis=0))


def test_a_whole_grid_holds_every_combination_once(tmp_path):
    got = np.concatenate(list(values_of(made(tmp_path, **{"dataset.sampling": "grid", "dataset.size": 190})).values()))
    velocities, cutoffs = 64 + 7 * np.arange(10), 200 * 10 ** (np.arange(19) / 18)
    expected = [[velocity, cutoff] for velocity in velocities for cutoff in cutoffs]
    np.testing.assert_allclose(got[np.lexsort(got.T[::-1])], expected, rtol=1e-7)  # stored as float32


def test_a_grid_of_which_a_parameter_sees_one_value_is_told(tmp_path, caplog):
    made(tmp_path / "less", **{"dataset.sampling": "grid", "dataset.size": 10})
    assert "dataset.size 10 of the grid's 190 combinations leaves note_velocity at one value" in caplog.text
    caplog.clear()
    made(tmp_path / "more", **{"dataset.sampling": "grid", "dataset.size": 40})
    assert "combinations" not in caplog.text


def test_a_value_that_keeps_a_range_from_counting_is_told(tmp_path, caplog):
    both = {"value": 60, "min": 36, "step": 1, "max": 60}
    made(tmp_path, **{"synth.parameters": TINY["synth"]["parameters"] | {"note_number": both}})
    assert "note_number is fixed at 60; synth.parameters.note_number.value=null lets it vary" in caplog.text


def test_a_link_to_what_is_not_there_is_told_before_anything_is_rendered(tmp_path):
    (tmp_path / "tiny").symlink_to(tmp_path / "unmounted")
    with pytest.raises(
        UserError, match=r"tiny: is a link to .*unmounted, which does not exist; mount it, or remove it$"
    ):
        made(tmp_path)


def test_a_grid_that_would_come_round_again_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"dataset.size: 191 given; the grid has 190 .*, or dataset.sampling=random$"):
        made(tmp_path, **{"dataset.sampling": "grid", "dataset.size": 191})
    assert not list(tmp_path.iterdir())


DISCRETE = {"synth.parameters": {
    "note_number": {"kind": "ordinal", "min": 48, "step": 1, "max": 64},
    "filter_enabled": {"values": ["bypassed", "filtered"]},
    "filter_cutoff": {"kind": "ordinal", "min": 200, "step": 400, "max": 1000},
    "note_velocity": {"value": 100},
}}  # fmt: skip


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("sampling", ["random", "grid"])
@pytest.mark.parametrize("size", [102, 60])
def test_splits_share_no_combination_of_a_discrete_space(tmp_path, sampling, shuffle, size):
    changes = {"dataset.sampling": sampling, "dataset.shuffle": shuffle, "dataset.size": size}
    directory = made(tmp_path, **DISCRETE, **changes, allow_blind=True)
    values = np.concatenate(list(values_of(directory).values()))
    assert len(values) == size == len(np.unique(values, axis=0))


@pytest.mark.parametrize("sampling", ["random", "sobol", "grid"])
def test_more_samples_than_combinations_are_refused(tmp_path, sampling):
    with pytest.raises(UserError, match=r"dataset.size: 103 given; .* 102 combinations, .*; give at most .*size=102$"):
        made(tmp_path, **DISCRETE, **{"dataset.sampling": sampling, "dataset.size": 103})
    assert not list(tmp_path.iterdir())


def test_points_that_repeat_combinations_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"dataset.sampling: sobol repeats .*; give dataset.sampling=random, which"):
        made(tmp_path, **DISCRETE, **{"dataset.sampling": "sobol", "dataset.size": 64})


def test_one_continuous_parameter_is_enough_for_any_size(tmp_path):
    parameters = DISCRETE["synth.parameters"] | {"note_velocity": {"min": 64, "max": 127}}
    values = np.concatenate(list(values_of(made(tmp_path, **{"synth.parameters": parameters})).values()))
    assert len(np.unique(values, axis=0)) == 150


def test_shuffle_changes_the_order_and_not_the_samples(tmp_path):
    plain, shuffled = (
        values_of(made(tmp_path / str(flag), **{"dataset.sampling": "sobol", "dataset.shuffle": flag}))
        for flag in (0, 1)
    )
    for split in SPLITS:
        assert (plain[split] != shuffled[split]).any()
        np.testing.assert_array_equal(np.unique(plain[split], axis=0), np.unique(shuffled[split], axis=0))


def test_blocks_come_in_order_and_an_error_ends_the_threads():
    source = load_source(tiny_recipe(**{"dataset.size": 640}))
    assert [index for index, _ in blocks(source, range(10), 3)] == list(range(10))
    before = threading.active_count()
    running_blocks = blocks(source, range(10), 2)
    next(running_blocks)
    assert threading.active_count() == before + 2
    running_blocks.close()
    assert threading.active_count() == before


def test_a_voice_that_fails_midway_leaves_nothing(tmp_path, monkeypatch):
    block = Source.block

    def fail(source, index):
        if index == 2:
            raise UserError("voice tiny renders non-finite samples")
        return block(source, index)

    monkeypatch.setattr(Source, "block", fail)
    with pytest.raises(UserError, match="non-finite"):
        made(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [3, 63, 64, 65])
def test_sizes_around_a_block(tmp_path, size):
    directory = made(tmp_path, **{"dataset.size": size})
    assert {split: len(VIMHDataset(directory, split, verify=True)) for split in SPLITS} == tiny_recipe(
        **{"dataset.size": size}
    ).dataset.counts


def test_a_size_beyond_any_disk_is_refused_in_a_line(tmp_path):
    with pytest.raises(UserError, match="GB are needed"):
        made(tmp_path, **{"dataset.size": 2**40})
    assert not list(tmp_path.iterdir())


def test_a_hop_that_shows_a_part_says_which(tmp_path, caplog):
    made(tmp_path, **{"spectral.hop_length": 40})
    assert "spectral.hop_length 40: the images show only the first 0.04 s of 0.10 s" in caplog.text


def test_channels_and_scaling_reach_the_files(tmp_path):
    channels = ["magnitude", "temporal_envelope", "spectral_envelope"]
    directory = made(tmp_path, **{"spectral.channels": channels, "spectral.image_scaling": "per_sample"})
    info = read_info(directory)
    assert (
        info["channels"] == 3 and info["channel_labels"] == channels and info["image_scaling"]["mode"] == "per_sample"
    )
    images, _, scale = VIMHDataset(directory, "train").records.gather(np.arange(120))
    assert images.shape == (120, 3, 8, 6) and len(np.unique(scale, axis=0)) > 100
    magnitude = images[:, 0].reshape(120, -1)
    assert (magnitude.min(axis=1) == 0).all() and (magnitude.max(axis=1) == 255).all()
    assert (np.ptp(images[:, 1], axis=1) == 0).all()  # the temporal envelope is the same in every row
    assert (np.ptp(images[:, 2], axis=2) == 0).all()  # the spectral one in every column


VARYING = {
    "simple_saw": {"note_velocity": (64, 7, 127), "log10_decay_time": (-2, 0.1, 0.3)},
    "moog_basic": {
        "note_velocity": (100, 5, 127),
        "log10_decay_time": (-1, 0.1, 0),
        "filter_cutoff": (200, 100, 2000),
        "filter_resonance": (0, 0.1, 0.9),
    },
    "moog_envelope": {
        "note_number": (36, 12, 60),
        "note_velocity": (100, 10, 127),
        "log10_decay_time": (0, 0.15, 0.6),
        "filter_cutoff": (80, 40, 400),
        "filter_resonance": (0.3, 0.1, 0.85),
        "filter_env_attack": (0, 0.05, 0.3),
        "filter_env_decay": (0.1, 0.1, 1),
        "filter_env_sustain": (0, 0.1, 0.6),
        "filter_env_release": (0.1, 0.1, 0.7),
        "filter_env_amount": (1, 0.5, 4),
    },
    "moog_resonance": {
        "note_number": (40, 7, 54),
        "note_velocity": (110, 5, 127),
        "log10_decay_time": (-0.5, 0.2, 0.5),
        "filter_cutoff": (200, 150, 1400),
        "filter_resonance": (0.5, 0.05, 0.95),
    },
}  # all times of moog_envelope fit its 2 s, since their sum would otherwise shorten them
TABLE = [
    ("simple_saw", "vimh-32x32x1_8000Hz_1p0s_256dss_simple_saw_2p", 256, 1.0, (1, 32, 32), 80, 80, "rectangular"),
    ("moog_basic", "vimh-32x32x1_8000Hz_1p0s_256dss_moog_basic_4p", 256, 1.0, (1, 32, 32), 80, 80, "rectangular"),
    ("moog_envelope", "vimh-32x64x1_8000Hz_2p0s_512dss_moog_envelope_10p", 512, 2.0, (1, 32, 64), 128, 64, "hann"),
    ("moog_resonance", "vimh-48x48x1_8000Hz_1p5s_384dss_moog_resonance_5p", 384, 1.5, (1, 48, 48), 256, 128, "hann"),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_the_shipped_configs_make_the_tables_datasets(tmp_path, caplog, row):
    synth, name, size, duration, shape, n_fft, n_window, window = row
    directory, spec = generate(parse_recipe(running.recipe(f"synth={synth}")), tmp_path)
    assert directory == tmp_path / name and read_spec(directory).to_dict()["name"] == spec.name == name
    assert spec.image_shape == shape and sum(spec.counts.values()) == size
    assert (spec.origin.sample_rate, spec.origin.duration) == (8000, duration)
    spectral = spec.origin.spectral
    assert (spectral.type, spectral.n_fft, spectral.n_window, spectral.window_type) == ("stft", n_fft, n_window, window)
    assert {one.name: (one.min, one.step, one.max) for one in spec.space} == VARYING[synth]
    assert "filter_env_amount" in spec.space.names or spec.space.fixed["filter_env_amount"] == 0
    # every label reaches the image, nothing was warned about, and what was written opens
    assert not any(reach.blind for reach in spec.origin.sensitivity)
    assert [reach.name for reach in spec.origin.sensitivity] == list(VARYING[synth])
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]
    for split in SPLITS:
        dataset = VIMHDataset(directory, split, verify=True)
        assert dataset.records.gather(np.arange(len(dataset)))[0].shape == (spec.counts[split], *shape)


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
def test_kill_9_leaves_nothing_under_the_name_and_the_next_run_succeeds(tmp_path):
    program = (
        "from pathlib import Path\nfrom src.data.generate import generate\n"
        "from tests.data.conftest import tiny_recipe\n"
        f"generate(tiny_recipe(**{{'dataset.size': 10**7}}), Path({str(tmp_path)!r}), workers=1)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 100_000 for path in tmp_path.glob(".tiny.partial-*/train")):
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert [path.name.startswith(".tiny.partial-") for path in tmp_path.iterdir()] == [True, True]  # and its lock
    directory = made(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    assert len(VIMHDataset(directory, "train", verify=True)) == 120
