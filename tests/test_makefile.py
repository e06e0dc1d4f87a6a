"""Every documented command resolves, and `make help` lists it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TARGETS = re.findall(
    r"[a-z0-9][a-z0-9-]*", re.search(r"\.PHONY: ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text()).group(1)
)


def make(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_targets_were_found():
    assert {"setup", "demo", "train", "tmps", "test-all", "emall-gen", "dclean"} <= set(TARGETS)


@pytest.fixture(scope="module")
def help_text() -> str:
    return make("help").stdout


def test_every_target_resolves():
    done = make("-n", "-k", *TARGETS)
    assert done.returncode == 0, done.stderr  # names each target that does not


def test_help_lists_every_target(help_text):
    listed = " ".join(line.split("  ")[1] for line in help_text.splitlines() if line.startswith("  "))
    assert set(TARGETS) <= set(listed.split())


def test_help_is_grouped_plain_text_of_80_columns(help_text):
    assert max(map(len, help_text.splitlines())) <= 80
    assert help_text.isascii()
    assert "\x1b" not in help_text
    for group in ("Set-up", "Train", "Experiments", "Generate", "Inspect", "Check", "Clean"):
        assert f"\n{group}\n" in help_text


def test_help_names_the_patterns(help_text):
    assert "experiment-NAME, model-NAME and quick-NAME" in help_text


def test_experiments_named_by_make_exist():
    named = set(re.findall(r"experiment-(\w+)", (ROOT / "Makefile").read_text())) - {"NAME"}  # of the help's text
    assert named
    assert named <= {path.stem for path in (ROOT / "configs/experiment").glob("*.yaml")}


def test_activate_names_both_shells():
    text = make("-s", "activate").stdout
    assert "/bin/activate\n" in text
    assert "/bin/activate.csh\n" in text


def test_list_configs_names_every_group():
    text = make("lc").stdout
    for group in (ROOT / "configs").iterdir():
        if group.is_dir():
            assert f"{group.name}:" in text
