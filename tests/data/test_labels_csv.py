"""Labels from a CSV: what becomes a parameter, and every mistake in one line that names its place."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.labels_csv import Labels, parse_labels
from src.utils.errors import UserError

TABLE = """file,cutoff [Hz],Attack Time (ms),wave,take,comment,bits
a.wav,200,1.5,saw,,one,16
sub/b.wav,1e3,2,square,,two,16

c.flac,+450.5,.25,saw,,three,16
d.wav,300,4,square,,four,16
"""


def labels(text=TABLE, parameters=None, ignore=()):
    return parse_labels(text.encode(), "labels.csv", parameters, ignore)


def refusal(*arguments):
    with pytest.raises(UserError) as raised:
        labels(*arguments)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_numbers_and_repeated_texts_are_parameters():
    found = labels()
    assert found.files == found.groups == ["a.wav", "sub/b.wav", "c.flac", "d.wav"]
    cutoff, attack, wave = found.space
    assert (cutoff.name, cutoff.unit, cutoff.min, cutoff.max, cutoff.kind) == ("cutoff", "Hz", 200, 1000, "continuous")
    assert (attack.name, attack.unit, attack.min, attack.max) == ("Attack_Time", "ms", 0.25, 4)
    assert (wave.values, wave.kind) == (("saw", "square"), "categorical")
    np.testing.assert_array_equal(found.values, [[200, 1.5, 0], [1000, 2, 1], [450.5, 0.25, 0], [300, 4, 1]])
    assert found.left_out == {"take": "empty", "comment": "4 different texts", "bits": "constant, 16"}
    assert found.space.fixed == {"bits": 16}


def test_the_config_chooses_and_narrows():
    chosen = {"wave": {"values": ["square", "saw"]}, "cutoff": {"min": 100, "max": 2000, "scale": "log"}, "bits": None}
    found = labels(TABLE, chosen)
    assert found.space.names == ("cutoff", "wave")
    assert (found.space.varying[0].min, found.space.varying[0].unit, found.space.varying[0].scale) == (100, "Hz", "log")
    np.testing.assert_array_equal(found.values[:, 1], [1, 0, 1, 0])
    assert labels(TABLE, None, ["cutoff", "wave"]).space.names == ("Attack_Time",)
    named = labels(TABLE, {"comment": {}})  # of a column that is named, every text is a category
    assert named.space.varying[0].values == ("four", "one", "three", "two")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(delimiter, mark, end):
    number = "1,5" if delimiter != "," else '"1.5"'
    rows = [["File", "cutoff", "", ""], ["a, b.wav", number, "", ""], ["c.wav", "2", "", ""], ["", "", "", ""]]
    if delimiter == ",":
        rows[1][0] = '"a, b.wav"'
    found = parse_labels(mark + "".join(delimiter.join(row) + end for row in rows).encode(), "labels.csv")
    assert found.files == ["a, b.wav", "c.wav"]
    np.testing.assert_array_equal(found.values, [[1.5], [2]])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_every_cell_can_be_quoted(delimiter):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([["file", "x, y; z"], ["a", 1], ["b", 2]])
    assert labels(text.getvalue()).space.names == ("x_y_z",)


def test_a_record_has_room_for_255_parameters():
    rows = [",".join(["file", *(f"p{at}" for at in range(256))]), *(f"{row}" + f",{row}" * 256 for row in range(2))]
    assert "256 columns vary, the maximum is 255" in refusal("\n".join(rows))
    assert len(labels("\n".join(rows), None, ["p7"]).space) == 255


def test_groups_are_those_of_a_column_or_the_files():
    found = labels("file,group,x\na.wav,ann,1\nb.wav,,2\nc.wav,ann,3\n")
    assert found.groups == ["ann", "b.wav", "ann"] and found.space.names == ("x",)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ["no column of its first line is called `file`"]),
        ("name,x\na,1\n", ["no column of its first line is called `file`"]),
        ("file,x\n", ["no row below"]),
        ("file,x\na.wav,1\nb.wav,1\n", ["no column varies", "; x: constant, 1; "]),
        ("file,x\na.wav,1\nb.wav,2\nc.wav,loud\n", ["line 4: x 'loud'; give a number, or"]),
        ("file,x\na.wav,1\nb.wav,2\nc.wav,\nd.wav,nan\n", ["line 4: x ''; line 5: x 'nan'; give", "data.ignore=[x]"]),
        ("file,w\na.wav,u\nb.wav,v\nc.wav,\nd.wav,u\ne.wav,v\nf.wav,u\n", ["line 4: w ''; give one of"]),
        ("file,x\na.wav,1\nb.wav\n", ["line 3: 1 cells, but 2 headings"]),
        ("file,x,X [Hz],x (ms)\n", ["heading 4: 'x (ms)' is empty or occurs twice"]),
        ("file,,x\na.wav,1,2\n", ["heading 2: '' is empty"]),
        ("file,x\na.wav,1\n./a.wav,2\n", ["line 3: 'a.wav' is also on line 2"]),
        ("file,x\n/etc/a.wav,1\n../b.wav,2\n,3\n", ["line 2: file '/etc/a.wav'", "line 3: file '../b.wav'", "line 4"]),
        ('file,x\n"a.wav,1\n', ["line 2", "correct its quotes"]),
        ("file,x\n" + "".join(f"{at}.wav,{at}\n" for at in range(9)) + "y.wav,u\n" * 7, ["; and 1 more"]),
    ],
)
def test_a_mistake_is_one_line_that_names_its_place(text, parts):
    message = refusal(text)
    assert message.startswith("labels.csv: ") and all(part in message for part in parts)


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"cutof": {}}, "data.parameters: labels.csv has no column 'cutof'. Did you mean 'cutoff'?"),
        ({"cutoff": {"max": 500}}, "line 3: cutoff '1e3'; data.parameters.cutoff allows 200..500"),
        ({"cutoff": {"kind": "ordinal", "step": 100}}, "line 5: cutoff '+450.5'; "),
        ({"cutoff": {"rnage": 1}}, "data.parameters.cutoff.rnage"),
        ({"Attack_Time": {"scale": "log", "min": 0}}, "above 0 on a log scale"),
        ({"wave": {"values": ["saw", "sine"]}}, "line 3: wave 'square'; data.parameters.wave allows saw, sine"),
    ],
)
def test_a_config_that_does_not_fit_the_csv_is_one_line(parameters, part):
    assert part in refusal(TABLE, parameters)


def test_a_column_to_ignore_must_exist():
    assert "data.ignore: labels.csv has no column 'commment'" in refusal(TABLE, None, ["commment"])


@pytest.mark.parametrize("content", ["caf\xe9".encode("latin-1"), "file,x\n".encode("utf-16")])
def test_another_encoding_is_one_line(content):
    with pytest.raises(UserError, match="not UTF-8; save it as CSV in UTF-8"):
        parse_labels(content, "labels.csv")


CELLS = st.one_of(
    st.floats(width=32).map(str),
    st.integers(-10, 10).map(str),
    st.text(max_size=4),
    st.sampled_from(["file", "a.wav", "../a", "", "x [Hz]", "(", "[", "]", '"', "1,5", "1e999", "\0", "\n"]),
)
TEXTS = st.text(max_size=60).map(lambda text: text.encode(errors="replace"))
ROWS = st.lists(st.lists(CELLS, max_size=4), max_size=5)


@st.composite
def tables(draw):
    """Return the bytes of something that resembles a CSV."""
    text = io.StringIO()
    delimiter = draw(st.sampled_from([",", ";", "\t"]))
    writer = csv.writer(text, delimiter=delimiter, quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])))
    width = draw(st.integers(0, 4))
    writer.writerow(["file", *draw(st.lists(CELLS, min_size=width, max_size=width))])
    for row in draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=5)):
        writer.writerow([f"{draw(st.integers(0, 9))}.wav", *row])
    for row in draw(ROWS):
        writer.writerow(row)
    return text.getvalue().encode(errors="replace")


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(tables(), st.binary(max_size=60), st.text(max_size=60).map(lambda text: text.encode(errors="replace")))
)
def test_anything_is_labels_or_one_line(content):
    try:
        found = parse_labels(content, "labels.csv")
    except UserError as error:
        assert "\n" not in str(error)
        return
    assert isinstance(found, Labels) and len(found.files) == len(set(found.files)) == len(found.values)
    assert np.isfinite(found.values).all() and found.values.shape[1] == len(found.space) > 0
    slack = 1e-6 * (found.space.max - found.space.min)
    assert (found.values >= found.space.min - slack).all() and (found.values <= found.space.max + slack).all()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(-1e30, 1e30), min_size=2, max_size=9).filter(lambda values: max(values) - min(values) > 1e-20),
    st.sampled_from([",", ";", "\t"]),
)
def test_numbers_are_read_as_written(values, delimiter):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["x", "file"])
    for number, value in enumerate(values):
        writer.writerow([repr(value).replace(".", "," if delimiter == ";" else "."), number])
    found = parse_labels(text.getvalue().encode(), "labels.csv")
    np.testing.assert_array_equal(found.values[:, 0], values)
    assert (found.space.varying[0].min, found.space.varying[0].max) == (min(values), max(values))
