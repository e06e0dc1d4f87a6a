"""A record's bytes against records packed one field at a time, by struct."""

import struct

import numpy as np
import pytest

from src.data.vimh.records import Records, pack_records, record_bytes
from src.parameters.space import ParameterSpace
from src.parameters.spec import ParameterSpec
from tests.data.references import record

SHAPE = (2, 3, 4)


def samples(count, parameters, shape=SHAPE):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (count, *shape), np.uint8)
    codes = generator.integers(0, 256, (count, parameters), np.uint8)
    scale = np.sort(generator.uniform(-90, 10, (count, 2)).astype(np.float32), axis=1)
    return images, codes, scale


def records_of(content, metadata_bytes, ids, shape=SHAPE):
    return Records(np.frombuffer(content, np.uint8), metadata_bytes, np.array(ids), np.array([shape], np.uint16))


def test_one_record_written_out():
    image = np.arange(1, 13, dtype=np.uint8).reshape(1, 2, 2, 3)[:, :1].repeat(2, axis=1)
    image[0, 1] += 100
    packed = pack_records(image, np.array([[7, 255]], np.uint8), np.array([[-80, 0]], np.float32))
    expected = (
        "0200 0300 0200"  # height 2, width 3, channels 2
        "0000a0c2 00000000"  # -80, 0 dB
        "02 0007 01ff"  # two labels: id 0 is 7, id 1 is 255
        "010203 040506"  # channel 0: row 0 (lowest frequency), row 1
        "656667 68696a"  # channel 1
    )
    assert packed.tobytes() == bytes.fromhex(expected.replace(" ", ""))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4), (3, 300, 2)])
@pytest.mark.parametrize("parameters", [1, 2, 255])
def test_pack_records_matches_struct(shape, parameters):
    images, codes, scale = samples(3, parameters, shape)
    expected = [record(*one) for one in zip(images, map(enumerate_pairs, codes), scale, strict=True)]
    packed = pack_records(images, codes, scale)
    assert packed.tobytes() == b"".join(expected)
    assert packed.shape == (3, 15 + 2 * parameters + images[0].size)


def enumerate_pairs(codes):
    return list(enumerate(codes))


@pytest.mark.parametrize(("metadata_bytes", "fixed"), [(14, 15), (6, 7)])
def test_record_size_is_the_format_tables(metadata_bytes, fixed):
    assert record_bytes(metadata_bytes, 4, 1024) == fixed + 2 * 4 + 1024


@pytest.mark.parametrize("old", [False, True], ids=["2.1", "2.0"])
@pytest.mark.parametrize("ids", [(0, 1, 2), (2, 0, 1)])
def test_gather_matches_hand_written_records(old, ids):
    images, codes, scale = samples(9, 3)
    scales = [None] * 9 if old else scale
    rows = [record(im, [(i, code[i]) for i in ids], sc) for im, code, sc in zip(images, codes, scales, strict=True)]
    records = records_of(b"".join(rows), 6 if old else 14, ids)
    assert len(records) == 9
    at = np.array([8, 0, 3, 3])
    got = records.gather(at)
    np.testing.assert_array_equal(got[0], images[at])
    np.testing.assert_array_equal(got[1], codes[at])
    np.testing.assert_array_equal(got[2], np.zeros((4, 2)) if old else scale[at])
    np.testing.assert_array_equal(records.codes(at), codes[at])


def test_records_of_differing_shape_gather_by_offset_and_refuse_to_mix():
    shapes = [(1, 2, 3), (1, 4, 5), (1, 2, 3)]
    parts = [record(np.full(shape, n), [(0, n)]) for n, shape in enumerate(shapes)]
    offsets = np.cumsum([0, *map(len, parts[:-1])])
    data = np.frombuffer(b"".join(parts), np.uint8)
    records = Records(data, 14, np.array([0]), np.array(shapes, np.uint16), offsets)
    assert len(records) == 3
    images, codes, _ = records.gather(np.array([2, 0]))
    assert images.shape == (2, 1, 2, 3)
    assert images[:, 0, 0, 0].tolist() == codes[:, 0].tolist() == [2, 0]
    np.testing.assert_array_equal(records.codes(np.arange(3))[:, 0], [0, 1, 2])
    with pytest.raises(ValueError, match="batches_by_shape"):
        records.gather(np.array([0, 1]))


@pytest.mark.parametrize(
    ("low", "high", "scale", "value", "code"),
    [
        (0, 1, "lin", 0.0, 0),
        (0, 1, "lin", 1.0, 255),
        (0, 1, "lin", 0.5, 128),  # 127.5 rounds up
        (100, 127, "lin", 113.5, 128),
        (-2, 0.3, "lin", -1.0, 111),  # 255 / 2.3 = 110.87
        (0, 10, "lin", 11.0, 255),  # clipped
        (100, 10000, "log", 1000.0, 128),  # halfway on the log scale
        (200, 2000, "log", 400.0, 77),  # 255 log10(2) = 76.76
    ],
)
def test_label_bytes_are_rounded_255ths_on_the_parameters_scale(low, high, scale, value, code):
    space = ParameterSpace([ParameterSpec(name="x", min=low, max=high, scale=scale)])
    assert space.to_byte(np.array([[value]])).tolist() == [[code]]


def test_decibels_of_a_level():
    """dB = spec_min + u8 / 255 * (spec_max - spec_min), with the scale that gather returns."""
    content = record([[[0, 51, 255]]], [(0, 0)], (-80.0, 20.0))
    images, _, scale = records_of(content, 14, [0], (1, 1, 3)).gather(np.array([0]))
    decibels = scale[:, 0] + images[0, 0, 0] / 255 * (scale[:, 1] - scale[:, 0])
    np.testing.assert_allclose(decibels, [-80, -60, 20])
    assert struct.unpack_from("<ff", content, 6) == (-80.0, 20.0)
