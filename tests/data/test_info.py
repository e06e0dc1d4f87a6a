"""The JSON: ours and the ancestor's, read into one object; damaged ones refused in one line."""

import os

import pytest

from src.data.generate import generate
from src.data.info import INFO_FILE, MAX_INFO_BYTES, read_spec
from src.data.spec import DatasetSpec
from src.parameters.spec import ParameterSpec
from src.utils.errors import UserError
from tests.data.conftest import tiny_recipe
from tests.data.references import ancestors_info, edit_info, read_info, write_info

ANCESTORS_KEYS = set(ancestors_info((1, 3, 4), ["a"], {"train": 1, "test": 1}))
OUR_KEYS = {"val_samples", "image_scaling", "generator", "sensitivity", "sha256"}


@pytest.fixture
def by_hand(tmp_path):
    write_info(tmp_path, ancestors_info((1, 3, 4), ["cutoff", "decay"], {"train": 20, "test": 5}))
    return tmp_path


def test_our_json_holds_the_ancestors_keys_and_our_own(tiny):
    info = read_info(tiny)
    assert set(info) == ANCESTORS_KEYS | OUR_KEYS
    assert (info["format"], info["version"], info["output_format"]) == ("VIMH", "2.1", "binary")
    assert (info["height"], info["width"], info["channels"], info["image_size"]) == (8, 6, 1, "8x6x1")
    assert info["parameter_names"] == ["note_velocity", "filter_cutoff"] and info["varying_parameters"] == 2
    counts = [info[f"{split}_samples"] for split in ("train", "val", "test")]
    assert counts == [120, 15, 15] and info["total_samples"] == info["n_samples"] == 150
    velocity = info["parameter_mappings"]["note_velocity"]
    ours = {"unit": "MIDI velocity", "scale": "lin", "kind": "continuous", "default": 100}
    assert velocity.items() >= {"min": 64, "step": 7, "max": 127, "num_classes": 10, **ours}.items()
    assert info["fixed_parameters"]["filter_resonance"]["value"] == 0.5
    assert info["label_encoding"]["metadata_bytes"] == 14
    assert info["image_scaling"] == {"mode": "global", "floor_db": -80, "ceil_db": 0}
    assert info["generator"].keys() == {"synth", "seed", "config", "program_version"}
    files = {path.name for path in tiny.iterdir()} - {INFO_FILE}
    assert set(info["sha256"]) == files


def test_ancestors_keys_alone_suffice(by_hand):
    spec = read_spec(by_hand)
    assert spec.name == "by_hand" and spec.image_shape == (1, 3, 4) and spec.counts == {"train": 20, "test": 5}
    assert spec.space.varying[0] == ParameterSpec(name="cutoff", min=0, step=1, max=10, description="made by hand")
    assert spec.space.fixed == {"note_number": 43.35}
    assert (spec.origin.generator, spec.origin.sensitivity, spec.sha256) == (None, [], {})
    # what it made its images with: scaled one by one, with its pre-emphasis
    spectral = spec.origin.spectral
    assert spectral.image_scaling == "per_sample" and spectral.pre_emphasis == 0.97
    assert (spectral.n_fft, spectral.n_window, spectral.hop_length) == (128, 64, 20)


def test_the_fewest_keys(tmp_path):
    mapping = {"cutoff": {"min": 0, "max": 8}}
    write_info(
        tmp_path, {"height": 3, "width": 4, "channels": 1, "parameter_names": ["cutoff"], "parameter_mappings": mapping}
    )
    spec = read_spec(tmp_path)
    assert (
        spec.name == tmp_path.name
        and spec.counts == {}
        and spec.origin.spectral is None
        and spec.metadata_bytes is None
    )
    assert spec.space.varying[0].step == 0.5 and spec.space.num_classes == (17,)  # (max - min) / 16


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"type": "classification", "min": 0, "max": 4}, (0, 4, 1, "categorical", 5)),
        ({"type": "classification", "num_classes": 5}, (0, 4, 1, "categorical", 5)),
        ({"num_classes": 5}, (0, 4, 1, "categorical", 5)),
        ({"type": "classification", "min": 0, "max": 4, "kind": "ordinal"}, (0, 4, 1, "ordinal", 5)),
        ({"min": 0, "max": 4, "step": 2, "num_classes": 3}, (0, 4, 2, "continuous", 3)),
        ({"min": -1, "max": 1}, (-1, 1, 0.125, "continuous", 17)),
        ({"min": 0.3, "max": 0.85, "step": 0.1}, (0.3, 0.85, 0.1, "continuous", 7)),
        ({"min": 0, "max": 4, "step": None}, (0, 4, 0.25, "continuous", 17)),
    ],
)
def test_kinds_of_parameter_entries(by_hand, entry, expected):
    edit_info(by_hand, parameter_names=["one"], parameter_mappings={"one": entry})
    one = read_spec(by_hand).space.varying[0]
    assert (one.min, one.max, one.step, one.kind, one.num_classes) == expected


@pytest.mark.parametrize(
    "entry",
    [
        {"values": ["sine", "saw"]},
        {"min": 0, "max": 1, "step": 1, "kind": "categorical", "values": ["sine", "saw"]},
        {"num_classes": 2, "values": ["sine", "saw"]},
    ],
)
def test_names_of_categories_are_read(by_hand, entry):
    fixed = {"mode": {"value": 1, "kind": "categorical", "values": ["mono"]}}
    edit_info(by_hand, parameter_names=["wave"], parameter_mappings={"wave": entry}, fixed_parameters=fixed)
    wave, mode = read_spec(by_hand).space.specs
    assert (wave.values, wave.kind, wave.num_classes) == (("sine", "saw"), "categorical", 2)
    assert mode.is_fixed and mode.values == ("mono",)


NAMES = ["mellow", "bright"]


@pytest.mark.parametrize("ends", [{}, {"kind": "categorical", "min": 0, "max": 1}])
def test_names_of_categories_are_written(tmp_path, ends):
    names = NAMES
    velocity = {"min": 64, "step": 7, "max": 127}
    parameters = {"filter_enabled": {**ends, "values": NAMES}, "note_velocity": velocity}
    changes = {"synth.parameters": parameters | {"filter_cutoff": {"value": 300}}}
    directory, spec = generate(tiny_recipe(**changes), tmp_path)
    info = read_info(directory)
    assert info["parameter_mappings"]["filter_enabled"].items() >= {"values": names, "num_classes": 2}.items()
    assert "values" not in info["parameter_mappings"]["note_velocity"]
    assert read_spec(directory).space == spec.space == DatasetSpec.from_dict(spec.to_dict()).space
    assert spec.space.varying[0].values == tuple(names)


@pytest.mark.parametrize("value", ["bright", 1])
def test_a_category_that_is_fixed_is_written(tmp_path, value):
    parameters = {"note_velocity": {"min": 64, "max": 127}, "filter_enabled": {"values": NAMES, "value": value}}
    directory, spec = generate(tiny_recipe(**{"synth.parameters": parameters}), tmp_path)
    entry = read_info(directory)["fixed_parameters"]["filter_enabled"]
    assert entry["value"] == 1 and spec.space.fixed["filter_enabled"] == 1
    assert read_spec(directory).space == spec.space == DatasetSpec.from_dict(spec.to_dict()).space


@pytest.mark.parametrize(("said", "meant"), [(14, 14), (6, 6), (3, 6), (None, None), ("14", None), (99, None)])
def test_metadata_bytes(by_hand, said, meant):
    edit_info(by_hand, label_encoding={} if said is None else {"metadata_bytes": said})
    assert read_spec(by_hand).metadata_bytes == meant


def test_fixed_parameters_may_be_bare_values_and_text_is_passed_over(by_hand):
    edit_info(by_hand, fixed_parameters={"gain": 0.5, "preset": {"value": "brass"}, "cutoff": {"value": 3}})
    assert read_spec(by_hand).space.fixed == {"gain": 0.5}


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        ((1, 3, 4), {"spectrogram_config": {}}),
        ((1, 3, 4), {"spectrogram_config": {"n_fft": 128, "type": "cqt"}}),
        ((2, 3, 4), {}),  # channels that we do not know
        ((1, 3, 4), {"generator": {"config": {"spectral": ["what"]}}}),
        ((1, 3, 4), {"generator": {"config": {"spectral": {"height": 9, "width": 4, "n_fft": 80, "n_window": 80}}}}),
    ],
)
def test_a_front_end_that_is_not_ours_is_none(tmp_path, shape, changes):
    write_info(tmp_path, ancestors_info(shape, ["a"], {}, **changes))
    assert read_spec(tmp_path).origin.spectral is None


def test_channels_of_known_names_make_a_front_end(tmp_path):
    labels = ["magnitude", "temporal_envelope"]
    write_info(tmp_path, ancestors_info((2, 3, 4), ["a"], {}, channel_labels=labels))
    assert read_spec(tmp_path).origin.spectral.channels == tuple(labels)


MAPPING = {"min": 0.0, "step": 1.0, "max": 10.0}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"height": 0}, ["height: 0 given"]),
        ({"height": 2**40}, ["height", "65,535"]),
        ({"height": 65535, "width": 65535, "channels": 65535}, ["height * width * channels is at most 4194304"]),
        ({"sample_rate": 192e3, "duration": 90.0}, ["a clip holds 1 to 16777216 samples"]),
        ({"width": "wide"}, ["width: 'wide' given"]),
        ({"channels": None}, ["channels: None given"]),
        ({"parameter_names": []}, ["parameter_names"]),
        ({"parameter_names": ["a"] * 256}, ["parameter_names", "255"]),
        ({"parameter_names": ["cutoff", "cutoff"]}, ["'cutoff' occurs 2 times"]),
        ({"parameter_names": ["cutoff\nrm -rf"]}, ["printed"]),
        ({"parameter_names": ["cutoff", "pan"]}, ["lacks 'pan'"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": 3}}, ["parameter_mappings.decay: 3 given"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {"min": 1}}}, ["parameter_mappings.decay.max"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {"min": 1, "max": 1}}}, ["decay", "cannot vary"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {"min": 2, "max": 1}}}, ["decay", "above max"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {**MAPPING, "max": float("nan")}}}, ["decay.max"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {**MAPPING, "max": 1e300}}}, ["decay", "float32"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {**MAPPING, "max": 10**400}}}, ["decay"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {"min": 0, "max": 10**400}}}, ["decay"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {**MAPPING, "step": 1e-9}}}, ["decay", "65536"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {"num_classes": 10**9}}}, ["decay", "65536"]),
        ({"parameter_mappings": {"cutoff": MAPPING, "decay": {**MAPPING, "scale": "log"}}}, ["decay", "log"]),
        ({"parameter_mappings": [MAPPING, MAPPING]}, ["parameter_mappings"]),
        ({"fixed_parameters": {"gain": float("inf")}}, ["fixed_parameters.gain", "finite"]),
        ({"train_samples": 3.5}, ["train_samples: 3.5 given"]),
        ({"sensitivity": [{"name": "cutoff"}]}, ["sensitivity.0.step_levels"]),
        ({"label_encoding": [14]}, ["label_encoding"]),
        ({"fixed_parameters": {str(number): {"value": 0, "unit": 3} for number in range(9)}}, ["fixed_parameters.0"]),
        ({"dataset_name": ["nested"] * 100_000}, ["dataset_name", "..."]),
        ({"sha256": {f"file{number}": 1 for number in range(100)}}, ["and 95 more"]),
    ],
    ids=lambda value: None if isinstance(value, list) else "-".join(value)[:40],
)
def test_a_damaged_json_is_one_line_naming_file_and_key(by_hand, changes, parts):
    edit_info(by_hand, **changes)
    refused(by_hand, str(by_hand / INFO_FILE), *parts)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"a":' * 100_000, b'{"height": ' + b"1" * 5000 + b"}"]
)
def test_what_is_not_json_is_one_line(by_hand, content):
    (by_hand / INFO_FILE).write_bytes(content)
    refused(by_hand, INFO_FILE)


def test_a_giant_json_is_not_read(by_hand):
    with (by_hand / INFO_FILE).open("r+b") as file:
        file.truncate(MAX_INFO_BYTES + 1)  # a hole: no bytes on disk
    refused(by_hand, "too large for a description")


def test_a_pointer_of_git_lfs_is_named(by_hand):
    (by_hand / INFO_FILE).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    refused(by_hand, INFO_FILE, "git lfs pull")


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()])
def test_a_description_that_is_no_file_is_not_waited_for(by_hand, make):
    (by_hand / INFO_FILE).unlink()
    make(by_hand / INFO_FILE)
    refused(by_hand, "holds no vimh_dataset_info.json")


def nested(depth):
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize("key", ["generator", "label_encoding", "anything", "spectrogram_config", "sha256"])
@pytest.mark.parametrize("value", [nested(900), nested(5000), nested(150_000), "[" * 200_000 + "]" * 200_000])
def test_json_of_great_depth_is_refused_or_passed_over(by_hand, one_gigabyte, key, value):
    text = (by_hand / INFO_FILE).read_text().rstrip().removesuffix("}")
    (by_hand / INFO_FILE).write_text(f'{text}, "{key}": {value}}}')
    try:
        spec = read_spec(by_hand)
        spec.to_dict()
    except UserError as error:
        assert INFO_FILE in str(error) and "\n" not in str(error) and len(str(error)) < 1200
    except RecursionError:
        pytest.fail("a description that cannot be written again")


@pytest.mark.parametrize(
    "changes",
    [
        {"parameter_names": ["x"] * 300},
        {"parameter_names": [f"{at}" for at in range(100_000)]},
        {"parameter_mappings": {f"{at}": {} for at in range(20_000)}},
        {"fixed_parameters": {f"{at}": at for at in range(20_000)}},
        {"sensitivity": [{}] * 100_000},
        {"channel_labels": ["x"] * 70_000},
        {"sha256": {f"{at}": "x" for at in range(20_000)}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_json_of_great_size_is_one_short_line(by_hand, one_gigabyte, changes):
    edit_info(by_hand, **changes)
    refused(by_hand, INFO_FILE, next(iter(changes)))


def test_directories_that_are_none(tmp_path):
    refused(tmp_path, "holds no vimh_dataset_info.json")
    refused(tmp_path / "absent", "does not exist")


def refused(directory, *parts):
    with pytest.raises(UserError) as error:
        read_spec(directory)
    text = str(error.value)
    assert all(part in text for part in parts), text
    assert "\n" not in text and len(text) < 1200


def test_half_of_a_surrogate_pair_is_refused(tmp_path):
    (tmp_path / "vimh_dataset_info.json").write_text('{"generator": {"junk": {"\\ud800": null}}}')
    with pytest.raises(UserError, match=r"not JSON .*surrogates not allowed"):
        read_spec(tmp_path)
