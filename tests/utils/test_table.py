"""Tables of any content, in terminals of any width: nothing too wide, no number cut, all text as text."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from src.utils.table import WIDTH, Column, csv_text, fits, markdown, plain, show, table
from tests.running import ROOT

HOSTILE = [
    "kick [alt].wav", "gain[/]", "[link=http://x]y[/link]", "<script>alert(1)</script>", ":bomb:", "\x1b[31mred\x1b[0m",
    "tab\tline\nreturn\r", "\x00\x07\x7f", "\udcff not UTF-8", "\u202eright to left", "\u0645\u0631\u062d\u0628\u0627",
    "e\u0301\u0327 combining", "\U0001f600\U0001f468\u200d\U0001f469 \u65e5\u672c\u8a9e \uff57\uff49\uff44\uff45",
    "x" * 60, "filter_env_sustain_of_the_second_oscillator_in_the_left_channel", "$\\frac$", "a|b", "", " ", "%s {}",
]  # fmt: skip


def drawn(columns, rows, width, **more):
    """Return a table's lines without trailing blanks, and the headings left out."""
    group, left_out = table(columns, rows, width, **more)
    console = Console(file=io.StringIO(), width=10_000)
    console.print(group)
    return [line.rstrip() for line in console.file.getvalue().splitlines()], left_out


NUMBERS = st.one_of(
    st.floats(-1e12, 1e12).map("{:.4g}".format),
    st.integers(-(10**9), 10**9).map("{:,}".format),
    st.tuples(st.floats(0, 100), st.floats(0, 100)).map(lambda pair: f"{pair[0]:.3g}..{pair[1]:.3g}"),
    st.just(""),
)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=70))


@st.composite
def tables(draw):
    kinds = [True, *draw(st.lists(st.booleans(), min_size=1, max_size=9))]
    columns = [Column(draw(TEXTS), text, draw(st.integers(0, 9)) if at else 0) for at, text in enumerate(kinds)]
    rows = draw(st.lists(st.tuples(*(TEXTS if text else NUMBERS for text in kinds)), max_size=5))
    return columns, rows


@pytest.mark.long
@settings(max_examples=200, deadline=None)
@given(tables(), st.integers(60, 200))
def test_any_table_fits_and_cuts_nothing(given_table, width):
    columns, rows = given_table
    lines, left_out = drawn(columns, rows, width)
    assert max(map(cell_len, lines)) <= width
    kept = [at for at, one in enumerate(columns) if plain(one.heading) not in left_out]
    words = set(" ".join(lines).split())
    letters = set("".join(lines))
    for row in rows:
        for at in kept:
            if columns[at].text:
                assert set(plain(row[at])) - {" "} <= letters
            else:
                assert set(row[at].split()) <= words


@pytest.mark.parametrize("width", [1, 5, 20, 40, 80, 200])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_shown_whole_as_text_at_any_width(name, width):
    columns = [Column("parameter", text=True), Column("MAE")]
    lines, left_out = drawn(columns, [[name, "0.0023"], ["next", "17.25"]], width)
    rule = next(at for at, line in enumerate(lines) if set(line) == {"─"})
    names = [line[: -len("0.0023")] if "0.0023" in line else line for line in lines[rule + 1 :] if "17.25" not in line]
    assert "".join(names).replace(" ", "") == plain(name).replace(" ", "")
    assert not left_out and any("0.0023" in line for line in lines) and any("17.25" in line for line in lines)
    assert all(one.isprintable() for line in lines for one in line)


FIGURES = [
    Column("parameter", text=True), Column("MAE"), Column("95 % interval", drop=1), Column("mean baseline", drop=2),
]  # fmt: skip
ROWS = [["cutoff", "12.5", "11.1..13.9", "500"], ["decay", "0.01", "0.009..0.011", "0.5"]]


def headings(lines):
    return lines[: next(at for at, line in enumerate(lines) if "─" in line)]


def test_headings_wrap_before_columns_go_and_the_least_important_goes_first():
    assert headings(drawn(FIGURES, ROWS, 80)[0]) == ["parameter   MAE  95 % interval  mean baseline"]
    narrow, left_out = drawn(FIGURES, ROWS, 40)
    assert len(headings(narrow)) == 2 and not left_out
    assert [drawn(FIGURES, ROWS, width)[1] for width in (36, 28)] == [
        ["mean baseline"],
        ["95 % interval", "mean baseline"],
    ]


def test_columns_that_must_stay_go_on_below_beside_the_first_one():
    columns = [Column("sound", text=True), *(Column(f"p{at}") for at in range(6))]
    lines, left_out = drawn(columns, [["a.wav", *(f"{at}.12345" for at in range(6))]], 30)
    assert [line for line in lines if "a.wav" in line] == [
        "a.wav  0.12345  1.12345",
        "a.wav  2.12345  3.12345",
        "a.wav  4.12345  5.12345",
    ] and not left_out


def test_names_break_between_their_words():
    rows = [["network.encoder.blocks", "1"], ["SimpleEfficientNet", "2"], ["filter_env_sustain", "3"]]
    lines = drawn([Column("name", text=True), Column("n")], rows, 20)[0]
    broken = ["network.encoder.", "blocks", "SimpleEfficient", "Net", "filter_env_", "sustain"]
    assert [line.split()[0] for line in lines[2:]] == broken


def test_a_number_within_text_is_not_broken():
    lines = drawn([Column("value", text=True), Column("n")], [["0.00001234567", "1"]], 12)[0]
    assert "0.00001234567" in "\n".join(lines)


def test_a_line_stands_between_sections():
    lines = drawn(FIGURES, ROWS, 80, sections={1})[0]
    assert ["─" in line for line in lines] == [False, True, False, True, False]


def test_what_is_left_out_is_named_with_the_file_that_has_it(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "36")
    show(FIGURES, ROWS, "a [title] :bomb:", "a caption", "results.md")
    out = capsys.readouterr().out
    assert out.startswith("a [title] :bomb:\n") and "a caption" in out
    assert "No room for: mean baseline; results.md has all columns." in " ".join(out.split())
    monkeypatch.setenv("COLUMNS", "80")
    show(FIGURES, ROWS)
    assert "No room" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("columns", "width"), [(None, WIDTH), ("", WIDTH), ("0", WIDTH), ("wide", WIDTH), ("200", 200)]
)
def test_a_file_is_as_wide_as_columns_says_else_80_letters(monkeypatch, capsys, columns, width):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    many = [Column("sound", text=True), *(Column(f"parameter {at}") for at in range(40))]
    assert not fits(many, [])
    show(many, [["a.wav", *["0.12345"] * 40]])
    out = capsys.readouterr().out
    assert width - 12 < max(map(len, out.splitlines())) <= width
    assert "\x1b" not in out and out.count("0.12345") == 40


NAME = "[/]:bomb:\u65e5\u672c"
SHOWS = f"from src.utils.table import *; show([Column('a', text=True), Column('b')], [[{NAME!r}, '1.25']] * 2, 't')"


def in_a_terminal(width, **environment):
    """Return what a process writes to a terminal of that width."""
    leader, follower = pty.openpty()
    os.set_blocking(leader, True)
    command = f'stty cols {width}; exec {sys.executable} -c "{SHOWS}"'
    given = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "TERM")}
    process = subprocess.Popen(
        ["sh", "-c", command], stdin=follower, stdout=follower, cwd=ROOT, env=given | {"TERM": "xterm"} | environment
    )
    os.close(follower)
    written = b""
    try:
        while part := os.read(leader, 4096):
            written += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    return written.decode()


def test_a_terminal_gets_bold_headings_and_a_dumb_one_plain_text():
    assert "\x1b[1m" in in_a_terminal(40)
    for environment in ({"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "dumb"}):
        out = in_a_terminal(40, **environment)
        assert "\x1b" not in out and NAME in out


def test_colours_stay_away_when_asked_to():
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", in_a_terminal(80, NO_COLOR="1"))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_output_that_cannot_hold_a_letter_gets_its_escape(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", SHOWS], capture_output=True, cwd=ROOT, env=environment, check=True)
    name = NAME if encoding == "utf-8" else "[/]:bomb:\\u65e5\\u672c"
    assert name in done.stdout.decode(encoding)


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_holds_every_column_and_reads_names_as_text(name):
    text = markdown(FIGURES, [[name, "1", "2", "3"]])
    head, rule, row = text.splitlines()
    assert head == "| parameter | MAE | 95 % interval | mean baseline |" and rule == "| --- | ---: | ---: | ---: |"
    cells = re.split(r"(?<!\\)\|", row)[1:-1]
    assert [one.strip() for one in cells[1:]] == ["1", "2", "3"]
    assert re.sub(r"\\([\\`*\[\]<>|&~$_])", r"\1", cells[0]).strip() == plain(name).strip()


def test_underscores_within_names_need_no_escape_and_others_do():
    assert (
        markdown([Column("filter_env_attack"), Column("_a_")], []).splitlines()[0] == r"| filter_env_attack | \_a\_ |"
    )


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+cmd|calc.wav", "'=1+cmd|calc.wav"),
        ("@SUM(1)", "'@SUM(1)"),
        ("-a", "'-a"),
        ("+x=1", "'+x=1"),
        ("-1.5e-3", "-1.5e-3"),
        ("a=1", "a=1"),
        ("a\x1b]0;b", "a\\x1b]0;b"),
        ("", ""),
    ],
)
def test_a_cell_of_a_csv_file_is_no_formula_and_has_no_control_codes(text, cell):
    assert csv_text(text) == cell
