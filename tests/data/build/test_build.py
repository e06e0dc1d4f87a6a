"""A built dataset from end to end: every image is that of its sample, the sources stay, and each fault is one line."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from src.data.build.build import build
from src.data.build.config import BuildConfig
from src.data.generate import generate
from src.data.info import read_spec
from src.data.origin import recipe_to_make, source_of
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from tests.data.conftest import tiny_config, tiny_recipe
from tests.data.references import read_info, snapshot, write_ancestor

MANY = "samples would be added, and at most 4,194,304 can be; give a lower balance.count"
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return generate(tiny_recipe(**{"dataset.seed": 5, "dataset.name": "other"}), tmp_path_factory.mktemp("other"))[0]


def built(root, sources, **settings):
    config = BuildConfig.model_validate({"from": [str(source) for source in sources], "name": "made", **settings})
    place, changes = build(config, Path(root))
    return place, read_spec(place), changes


def everything(directory):
    """Return all labels, images and origins of a dataset, (n, P), (n, C, H, W) and (n, 2)."""
    splits = [VIMHDataset(directory, split) for split in SPLITS if (directory / split).exists()]
    images = [split.gather(np.arange(len(split)))[0] for split in splits]
    values = [split.values for split in splits]
    origins = [np.load(directory / f"{split}_origin.npy") for split in SPLITS if (directory / split).exists()]
    return tuple(np.concatenate(parts) for parts in (values, images, origins))


def test_merged_filtered_split_and_balanced(tiny, other, tmp_path):
    before = snapshot(tiny), snapshot(other)
    settings = {
        "filter": {"note_velocity": [70, 120]},
        "drop": ["duplicates", "silent"],
        "split": {"method": "stratified", "val_fraction": 0.2, "test_fraction": 0.2},
        "balance": {"method": "render", "by": ["note_velocity"], "count": 40, "bins": 5},
    }
    place, spec, changes = built(tmp_path, [tiny, other], **settings)
    assert (snapshot(tiny), snapshot(other)) == before
    assert sum(spec.counts.values()) == 300 + sum(changes.values())
    values, images, origin = everything(place)
    assert ((values[:, 0] >= 70) & (values[:, 0] <= 120)).all()
    # every image is what its labels render, and every copied label is that of its sample
    np.testing.assert_array_equal(images, source_of(read_spec(place)).images(values)[0])
    sources = np.concatenate([everything_of_a_source(directory) for directory in (tiny, other)])
    copied = origin[:, 0] >= 0
    np.testing.assert_array_equal(values[copied], sources[origin[copied, 0]])
    assert len(np.unique(origin[copied, 0])) == copied.sum() and changes["render"] == (~copied).sum() > 0
    assert (origin[spec.counts["train"] :, 0] >= 0).all()  # val and test hold no new sounds
    facts = read_info(place)["generator"]["built"]
    assert [source["name"] for source in facts["sources"]] == ["tiny", "other"]
    assert (
        facts["filter"] == settings["filter"]
        and facts["sources"][1]["sha256"]["val"] == read_info(other)["sha256"]["val"]
    )
    VIMHDataset(place, "train", verify=True)


def everything_of_a_source(directory):
    return np.concatenate([np.load(directory / f"{split}_params.npy") for split in SPLITS])


def test_the_bytes_depend_on_the_config_alone(tiny, other, tmp_path):
    settings = {"split": {"method": "random"}, "balance": {"method": "interpolate", "by": ["note_velocity"], "bins": 4}}
    contents = []
    for root, seed in (("first", 1), ("again", 1), ("else", 2)):
        place, _, _ = built(tmp_path / root, [tiny, other], seed=seed, **settings)
        contents.append({path.name: path.read_bytes() for path in place.iterdir()})
    assert contents[0] == contents[1] and contents[0]["test"] != contents[2]["test"]


def test_means_are_of_two_training_samples(tiny, tmp_path):
    balance = {"method": "interpolate", "by": ["note_velocity"], "bins": 3, "count": 60}
    place, spec, changes = built(tmp_path, [tiny], balance=balance)
    values, images, origin = everything(place)
    means = np.flatnonzero(origin[:, 1] >= 0)
    assert len(means) == changes["interpolate"] > 0 and (means < spec.counts["train"]).all()
    assert (origin[means] < 120).all()  # tiny's training samples
    unit = spec.space.normalize(np.load(tiny / "train_params.npy"))
    expected = spec.space.denormalize(unit[origin[means]].mean(axis=1))
    np.testing.assert_allclose(values[means], expected, rtol=1e-6)
    train = VIMHDataset(tiny, "train").gather(np.arange(120))[0].astype(float)
    decibels = [-80 + train[origin[means, at]] / 255 * 80 for at in (0, 1)]
    mean = 10 * np.log10(sum(10 ** (level / 10) for level in decibels) / 2)
    assert np.abs(images[means] - 255 * (mean + 80) / 80).max() <= 0.5 + 1e-9


def test_repeats_are_copies_in_train_alone(tiny, tmp_path):
    place, spec, _ = built(tmp_path, [tiny], balance={"method": "oversample", "by": ["note_velocity"], "bins": 4})
    _, images, origin = everything(place)
    train = spec.counts["train"]
    assert len(np.unique(origin[:train, 0])) == 120 < train and spec.counts["test"] == 15
    np.testing.assert_array_equal(images[:train], VIMHDataset(tiny, "train").gather(origin[:train, 0])[0])


def test_copies_of_a_sample_are_never_in_two_splits(tiny, copy_of, tmp_path):
    place, spec, _ = built(tmp_path, [tiny, copy_of(tiny)], split={"method": "stratified"})
    held = [{row.tobytes() for row in VIMHDataset(place, split).values} for split in SPLITS]
    assert sum(spec.counts.values()) == 300 and sum(map(len, held)) == 150 and not held[0] & (held[1] | held[2])


@pytest.mark.parametrize(("group", "of"), [("source", 0), ("note_velocity", 1)])
def test_groups_stay_together(tiny, other, tmp_path, group, of):
    third = generate(tiny_recipe(**{"dataset.seed": 9, "dataset.name": "third"}), tmp_path)[0]
    split = {"method": "random", "group": group, "val_fraction": 0.3, "test_fraction": 0.3}
    place, spec, _ = built(tmp_path, [tiny, other, third], split=split)
    values, _, origin = everything(place)
    keys = (origin[:, 0] // 150, spec.space.to_class(values)[:, 0])[of]
    split_of = np.repeat(np.arange(3), list(spec.counts.values()))
    assert len(set(zip(keys.tolist(), split_of.tolist(), strict=True))) == len(np.unique(keys))
    assert len(np.unique(split_of)) == 3


def test_folds_are_named_and_cover_all_samples(tiny, tmp_path):
    tested = []
    for fold in range(3):
        place, _, _ = built(tmp_path, [tiny], split={"method": "random", "folds": 3, "fold": fold})
        assert place.name == f"made_fold{fold}of3"
        tested += np.load(place / "test_origin.npy")[:, 0].tolist()
    assert sorted(tested) == list(range(150))


def test_bytes_of_labels_stay_bytes(tmp_path):
    written = write_ancestor(tmp_path / "old")
    place, spec, _ = built(tmp_path, [tmp_path / "old"])
    assert spec.counts == {"train": 20, "test": 5} and not list(place.glob("*_params.npy"))
    for split, (images, codes) in written.items():
        found = VIMHDataset(place, split)
        assert found.quantised
        np.testing.assert_array_equal(found.gather(np.arange(len(found)))[0], images)
        np.testing.assert_array_equal(found.gather(np.arange(len(found)))[1], codes)
    assert place.parent == tmp_path and read_spec(place).origin.spectral == read_spec(tmp_path / "old").origin.spectral


def test_pickles_alone_are_a_source(tiny, copy_of, tmp_path):
    source = copy_of(tiny)
    for split in SPLITS:
        (source / split).unlink()
    place, _, _ = built(tmp_path, [source])
    for split in SPLITS:
        assert (place / split).read_bytes() == (tiny / split).read_bytes()


def test_a_built_dataset_trains_and_is_not_generated_again(tiny, tmp_path):
    place, spec, _ = built(tmp_path, [tiny], filter={"note_velocity": [80, None]})
    datamodule = VIMHDataModule(place, batch_size=8)
    datamodule.setup()
    batch = next(iter(datamodule.train_dataloader()))
    assert batch["image"].dtype == torch.uint8 and len(batch["image"]) == 8
    with pytest.raises(UserError, match="was built from other datasets"):
        recipe_to_make(spec)
    wanted = tiny_config(**{"dataset.name": "made"})
    with pytest.raises(UserError, match=r"was built from other datasets; give .*data.data_dir="):
        VIMHDataModule(recipe=wanted, root=tmp_path).prepare_data()


def write_clips(source):
    """Write a table by which five neighbours of a split are clips of one recording."""
    rows = [
        (split, row, f"{row // 5}.wav", "0", f"g{row // 5}")
        for split, count in read_spec(source).counts.items()
        for row in range(count)
    ]
    with (source / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("split", "row", "file", "start", "group"), *rows])


def test_clips_of_a_recording_stay_together_after_a_detour(tiny, copy_of, tmp_path):
    source = copy_of(tiny)
    write_clips(source)
    halves = [
        built(tmp_path, [source], name=name, filter={"note_velocity": ends})[0]
        for name, ends in (("low", [None, 90]), ("high", [90.1, None]))
    ]
    place, _, _ = built(tmp_path, halves, split={"method": "random", "group": "file"})
    with (place / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    pairs = {(row["group"].rpartition("/")[2], row["split"]) for row in rows}
    assert len(rows) == 150 and len(pairs) == len({group for group, _ in pairs}) > 3


def test_tables_of_recordings_are_joined(tiny, other, copy_of, tmp_path):
    sources = [copy_of(tiny), copy_of(other)]
    for source in sources:
        write_clips(source)
    place, _, _ = built(tmp_path, sources, split={"method": "random", "group": "file"})
    with (place / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    origin = np.concatenate([np.load(place / f"{split}_origin.npy") for split in SPLITS])[:, 0]
    starts = {"tiny": 0, "other": 150}
    split_of = {}
    for row, sample in zip(rows, origin, strict=True):
        name, file = row["file"].split("/")
        within = sample - starts[name]
        within -= 0 if within < 120 else 120 if within < 135 else 135
        assert file == f"{within // 5}.wav" and row["group"] == f"{name}/g{within // 5}"
        split_of.setdefault(row["group"], set()).add(row["split"])
    assert all(len(found) == 1 for found in split_of.values())
    with pytest.raises(UserError, match=r"clips.csv: no such file, .* leave out split.group=file"):
        built(tmp_path, [tiny], name="more", split={"method": "random", "group": "file"})


def test_each_fault_is_one_line_and_leaves_nothing(tiny, tmp_path):
    (tmp_path / "data" / "made").mkdir(parents=True)
    (tmp_path / "data" / "made" / "mine.txt").write_text("kept")
    for settings, part in (
        ({}, "made: already exists and was not changed; give another name"),
        ({"name": "x", "filter": {"note_velocity": [64, 64.1]}}, "split: "),
        (
            {"name": "x", "split": {"method": "stratified", "by": ["cutoff"]}},
            "split.by: parameter 'cutoff' does not vary here",
        ),
        (
            {"name": "x", "balance": {"method": "oversample", "by": ["cutoff"]}},
            "balance.by: parameter 'cutoff' does not vary here",
        ),
        ({"name": "x", "balance": {"method": "oversample", "by": ["note_velocity"], "count": 2**32}}, MANY),
        ({"name": "x", "balance": {"method": "render", "by": ["note_velocity"], "count": 2**32}}, MANY),
    ):
        with pytest.raises(UserError) as raised:
            built(tmp_path / "data", [tiny], **settings)
        assert part in str(raised.value)
    with pytest.raises(UserError, match="is in a source, and sources are only read"):
        built(tiny, [tiny], name="x")
    ancestor = tmp_path / "old"
    write_ancestor(ancestor)
    with pytest.raises(UserError, match=r"balance\.method: render given, but .* has no recipe"):
        built(tmp_path / "data", [ancestor], name="x", balance={"method": "render", "by": ["decay"]})
    assert [path.name for path in (tmp_path / "data").rglob("*")] == ["made", "mine.txt"]


def test_the_usual_name_differs_with_sources_and_operations(tiny, other, tmp_path):
    names = set()
    for sources, settings in (([tiny], {}), ([other], {}), ([tiny], {"seed": 1}), ([tiny], {"drop": ["silent"]})):
        place, _, _ = built(tmp_path, sources, name=None, **settings)
        assert place.name.startswith("vimh-8x6x1_150dss_tiny_2p_built_")
        names.add(place.name)
    assert len(names) == 4


def test_the_description_stays_json(tiny, tmp_path):
    place, _, _ = built(tmp_path, [tiny])
    info = json.loads((place / "vimh_dataset_info.json").read_text())
    assert info["generator"]["built"]["parts"][1] == {"source": 0, "split": "val", "first": 120}
