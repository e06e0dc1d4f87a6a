"""What a dataset's page says: its figures equal NumPy's, its checks find what is wrong, and it shows any dataset."""

import json
import re
import shutil
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest

from src.data.generate import generate
from src.data.inputs import Inputs
from src.data.origin import source_of
from src.data.spec import DatasetSpec, Origin
from src.data.spec_schema import Sensitivity
from src.data.vimh.records import CURRENT_METADATA_BYTES, pack_records
from src.data.vimh.writer import DatasetWriter
from src.data.vimh_dataset import VIMHDataset
from src.evaluation.reports.dataset import checks
from src.evaluation.reports.dataset.labels import correlations, histogram
from src.evaluation.reports.dataset.page import write_dataset_page
from src.evaluation.reports.dataset.samples import image_blocks, spread
from src.evaluation.reports.dataset.tables import limit_table
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from src.spectral.mel import hz_to_mel
from tests.data.conftest import tiny_recipe
from tests.evaluation.datasets import write_every_kind
from viz import show_dataset

LINE = ParameterSpec(name="a", min=-3, max=5)
LOG = ParameterSpec(name="b", min=10, max=1000, scale="log")
WAVE = ParameterSpec(name="wave", values=("saw", "sine", "noise"))
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """150 sounds: 120 train, 15 val, 15 test."""
    return generate(tiny_recipe(), tmp_path_factory.mktemp("data"))[0]


def opened(directory, splits=SPLITS):
    return {split: VIMHDataset(directory, split) for split in splits}


def written(directory, values, images, space=None):
    """Write `train` and `test` of the same values (n, P) and images (n, H, W)."""
    space = space or ParameterSpace([LINE, LOG])
    counts = dict.fromkeys(("train", "test"), len(values))
    spec = DatasetSpec(
        "made", Inputs((1, *images.shape[1:])), space, counts=counts, metadata_bytes=CURRENT_METADATA_BYTES
    )
    with DatasetWriter(directory, spec) as writer:
        for split in counts:
            scale = np.tile(np.float32([-80, 0]), (len(values), 1))
            records = pack_records(images[:, None], space.to_byte(values), scale)
            writer.write(split, np.arange(len(values)), records, values.astype(np.float32))
    return opened(directory, counts)


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)[1])


@pytest.mark.parametrize("spec", [LINE, LOG])
def test_a_histogram_is_numpys_on_the_scale_of_the_parameter(spec):
    space = ParameterSpace([spec])
    values = space.sample(0, 0, 5000).astype(np.float64)
    found = histogram(spec, space.normalize(values).astype(np.float32)[:, 0])
    counts, _ = np.histogram(values, found.edges)
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(np.bincount(found.bars), counts)
    spaced = np.geomspace if spec.scale == "log" else np.linspace
    np.testing.assert_allclose(found.edges, spaced(spec.min, spec.max, 17))


@pytest.mark.parametrize("quantised", [False, True])
def test_values_that_are_all_classes_have_a_bar_each(quantised):
    spec = ParameterSpec(name="steps", min=0, max=3, step=0.3)
    classes = np.random.default_rng(0).integers(0, 11, 500)
    unit = (classes * 0.1).astype(np.float32)
    if quantised:
        unit = np.rint(unit * 255).astype(np.float32) / np.float32(255)
    found = histogram(spec, unit, quantised)
    np.testing.assert_array_equal(found.counts, np.bincount(classes, minlength=11))
    assert found.names[:2] == ("0", "0.3") and found.edges is None


def test_many_categories_share_bars():
    spec = ParameterSpec(name="table", min=0, max=99, kind="categorical")
    found = histogram(spec, np.linspace(0, 1, 100, dtype=np.float32))
    assert found.counts.sum() == 100 and len(found.names) == 24 and found.names[0] == "0..4"


def test_correlations_are_numpys_and_leave_out_what_has_no_order():
    unit = np.random.default_rng(0).random((300, 3)).astype(np.float32)
    unit[:, 1] += unit[:, 0]
    found = correlations(ParameterSpace([LINE, LOG, WAVE]), unit)
    np.testing.assert_allclose(found[:2, :2], np.corrcoef(unit[:, 0].astype(float), unit[:, 1].astype(float)))
    assert np.isnan(found[2]).all() and np.isnan(found[:, 2]).all()


@pytest.mark.parametrize("most", [1, 7, 150, 1000])
def test_what_is_looked_at_is_spread_evenly(tiny, most):
    splits = opened(tiny)
    rows = spread(splits, most)
    starts = np.cumsum([0, *map(len, splits.values())])[:3]
    places = np.concatenate([rows[split] + start for split, start in zip(splits, starts, strict=True)])
    assert len(places) == min(most, 150) and places[0] == 0
    assert np.ptp(np.diff(places)) <= 1 if most > 1 else len(places) == 1
    images = np.concatenate([block for block, _ in image_blocks(splits, rows)])
    expected = [splits[split][row]["image"].numpy() for split in splits for row in rows[split]]
    np.testing.assert_array_equal(images, expected)


def test_copies_are_found_in_a_split_and_between_splits(tmp_path):
    space = ParameterSpace([LINE, LOG])
    values = space.sample(0, 0, 200)
    images = np.random.default_rng(0).integers(0, 256, (200, 4, 4)).astype(np.uint8)
    values[100:130], images[100:120] = values[:30], images[:20]  # ten have only the labels of another sample
    splits = written(tmp_path / "made", values, images)
    units = {split: dataset.targets() for split, dataset in splits.items()}
    found = checks.check_duplicates(splits, units)
    assert found.state == "warn" and found.why.startswith("60 of 400") and "of 60 compared 40 have" in found.why
    leak = checks.check_leakage(splits, units)
    assert leak.state == "fail" and leak.why.startswith("190 of 200 test samples")  # the first of equal labels counts


@pytest.mark.parametrize(
    ("level", "clipping", "silence"), [(0, "warn", "fail"), (255, "fail", "fail"), (100, "pass", "fail")]
)
def test_clipping_and_silence_are_found(tmp_path, level, clipping, silence):
    values = ParameterSpace([LINE, LOG]).sample(0, 0, 50)
    splits = written(tmp_path / "made", values, np.full((50, 8, 6), level, np.uint8))
    for dataset in splits.values():
        dataset.spec = replace(dataset.spec, origin=Origin(spectral=tiny_recipe().spectral))
    assert [check.state for check in checks.check_images(splits)] == [clipping, silence]


def test_a_gap_in_a_range_is_found():
    space = ParameterSpace([LINE, LOG])
    unit = np.random.default_rng(0).random((2000, 2)).astype(np.float32)
    state = {}
    for name, top in (("whole", 1.0), ("narrow", 0.6), ("half", 0.3)):
        found = [histogram(spec, top * unit[:, at]) for at, spec in enumerate(space)]
        state[name] = checks.check_coverage(space, found)
    assert [one.state for one in state.values()] == ["pass", "warn", "fail"]
    assert "a 6 of 16, b 6 of 16" in state["narrow"].why
    thinned = [histogram(LINE, unit[(unit[:, 0] > 0.1) | (unit[:, 1] < 0.3), 0])]
    assert "rarest part" in checks.check_coverage(ParameterSpace([LINE]), thinned).why


def test_labels_of_other_sounds_do_not_make_the_images(tiny, tmp_path):
    assert "Labels make the images: <span" in write_dataset_page(opened(tiny), tmp_path / "page.html").read_text()
    splits = opened(tiny)
    rows = np.arange(8)
    images = splits["train"].__getitems__(rows)["image"].numpy()
    values = splits["train"].spec.space.denormalize(splits["train"].targets()[rows])
    source = source_of(splits["train"].spec)
    assert checks.check_sounds(source, values, images, False).state == "pass"
    assert checks.check_sounds(source, values[::-1], images, False).state == "warn"


def test_limits_that_are_not_known_are_left_out():
    rows = [Sensitivity(name="a", step_levels=1, range_levels=2, blind=False)]
    assert limit_table(ParameterSpace([LINE]), rows)[1] == []


@pytest.mark.parametrize("changes", [{}, {"type": "mel", "n_fft": 512, "n_window": 512}])
def test_axes_are_hertz_and_seconds(tmp_path, changes):
    recipe = tiny_recipe(**{f"spectral.{key}": value for key, value in changes.items()})
    data = data_of(write_dataset_page(opened(generate(recipe, tmp_path)[0]), tmp_path / "page.html"))
    x, y = data["axes"][0]["x"], data["axes"][0]["y"]
    assert x["title"] == "time, s" and x["seconds"] and y["title"] == "frequency, Hz"
    if changes:  # half a band below and above the centres, which divide 0 to 4 kHz into nine on the mel scale
        bands = hz_to_mel(4000) / 9
        assert y["mel"] and hz_to_mel(np.array([y["min"], y["max"]])) == pytest.approx([bands / 2, 8.5 * bands])
    else:  # 8 rows of 100 Hz from bin 1 on; 6 frames of 80 samples, 144 apart, drawn about their middles
        assert (y["min"], y["max"]) == (50, 850)
        assert (x["min"], x["max"]) == pytest.approx(((40 - 72) / 8000, (40 - 72 + 6 * 144) / 8000))


def test_a_dataset_of_another_program_is_shown_without_sounds(tiny, tmp_path):
    directory = shutil.copytree(tiny, tmp_path / "other")
    for path in (*directory.glob("*_params.npy"), directory / "val"):
        path.unlink()
    info = json.loads((directory / "vimh_dataset_info.json").read_text())
    for key in ("generator", "sensitivity", "sha256", "spectrogram_config", "val_samples"):
        del info[key]
    (directory / "vimh_dataset_info.json").write_text(json.dumps(info))
    page = write_dataset_page(opened(directory, ("train", "test")), tmp_path / "page.html")
    data, text = data_of(page), page.read_text()
    assert data["missing"].startswith("No sounds: ") and "sounds" not in data["examples"][0]
    assert data["axes"][0]["x"]["title"] == "frame" and data["channels"] == ["channel 0"]
    assert "rounded to bytes" in text and text.count("does not state them") == 2


def test_images_of_several_shapes_have_axes_of_their_own(tmp_path):
    records, random = b"", np.random.default_rng(0)
    shapes = [(8, 6), (12, 40), (8, 6), (3, 50)]
    for height, width in shapes:
        header = struct.pack("<HHHff", height, width, 1, -80, 0) + bytes([1, 0, 7])
        records += header + random.bytes(height * width)
    info = {"height": 8, "width": 6, "channels": 1, "parameter_names": ["x"], "train_samples": 4}
    info |= {"parameter_mappings": {"x": {"min": 0, "max": 1}}, "label_encoding": {"metadata_bytes": 14}}
    (tmp_path / "train").write_bytes(records)
    (tmp_path / "vimh_dataset_info.json").write_text(json.dumps(info))
    data = data_of(write_dataset_page(opened(tmp_path, ("train",)), tmp_path / "page.html"))
    edges = [(axes["y"]["max"] + 0.5, axes["x"]["max"] + 0.5) for axes in data["axes"]]
    assert edges == [(8, 6), (12, 40), (3, 50)]
    assert (data["thumbnails"]["height"], data["thumbnails"]["width"]) == (8, 6)


def test_the_command_prints_lines_that_fit_and_the_page(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(show_dataset, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["show_dataset.py", str(tiny)])
    show_dataset.main()
    directory, *lines, page = capsys.readouterr().out.splitlines()
    assert directory == str(tiny) and page == f"  page: {tmp_path / 'logs' / tiny.name}.html"
    assert lines[0] == "  120 train, 15 val, 15 test; images 8x6, 1 channel" and max(map(len, lines)) <= 80
    assert (tmp_path / "logs" / f"{tiny.name}.html").stat().st_size > 10_000


def test_names_with_markup_are_text(tmp_path):
    write_every_kind(tmp_path / "kinds")
    page = write_dataset_page(opened(tmp_path / "kinds"), tmp_path / "page.html").read_text()
    assert "<script>alert" not in page and "<i>dB" not in page and "&lt;script&gt;alert(1)" in page


def test_many_large_images_stay_small(tmp_path):
    space = ParameterSpace([LINE])
    images = np.random.default_rng(0).integers(0, 256, (300, 64, 128)).astype(np.uint8)
    splits = written(tmp_path / "made", space.sample(0, 0, 300), images, space)
    page = write_dataset_page(splits, tmp_path / "page.html")
    assert page.stat().st_size < 2e6
    assert data_of(page)["other_note"].endswith("The image here is reduced to 32 x 32 pixels.")
