"""Names and tags of runs: what is accepted, what is refused, and where they go."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from src.run.names import checked_name, run_directory, run_names
from src.utils.errors import UserError
from tests import running


@pytest.mark.parametrize("name", ["first_try", "a", "7", "2024", "v1.2+lr-3", "A" * 64])
def test_a_name_follows_the_time_in_the_directory(name):
    assert run_directory("2026-11-26_10-16-37-201655", name) == f"2026-11-26_10-16-37-201655_{name}"


def test_without_a_name_the_time_is_all():
    assert run_directory("2026-11-26", None) == "2026-11-26"


@given(st.text(max_size=80))
def test_a_name_is_accepted_exactly_when_it_is_one_safe_part_of_a_path(text):
    safe = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}", text) is not None
    try:
        assert checked_name(text, "name") == text and safe
    except UserError as error:
        assert not safe and "\n" not in str(error) and len(str(error)) < 600


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"name": "../../x"}, "name: '../../x' given; give at most 64 letters, digits"),
        ({"name": ""}, "name: '' given"),
        ({"name": ".hidden"}, "name: '.hidden' given"),
        ({"name": "a" * 65}, "at most 64 letters, digits"),
        ({"name": "a\nb"}, r"name: 'a\\nb' given"),
        ({"name": True}, "name: True given, a bool; quote it twice"),
        ({"name": 1e5}, "name: 100000.0 given, a float; quote it twice"),
        ({"name": ["a"]}, "name: .* given; give at most 64 letters, digits"),
        ({"tags": ["a", "b c"]}, "tags: 'b c' given"),
        ({"tags": {"a": 1}}, "tags: .* given; give a list of names"),
        ({"tags": 1.5}, "tags: 1.5 given; give a list of names"),
        ({"tags": [None]}, "tags: 'None' given"),
    ],
    ids=str,
)
def test_what_is_no_name_is_refused_with_its_key(overrides, words):
    with pytest.raises(UserError, match=f"^{words}" if words[0] != "a" else words):
        run_names(OmegaConf.create(overrides))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, (None, [])),
        ({"name": 2024, "tags": "moog"}, ("2024", ["moog"])),
        ({"name": "a", "tags": ["moog", 7]}, ("a", ["moog", "7"])),
        ({"tags": None}, (None, [])),
    ],
)
def test_names_that_hydra_reads_as_numbers_are_text(config, expected):
    assert run_names(OmegaConf.create(config)) == expected


def test_a_named_run_is_named_by_its_directory_and_its_loggers(tmp_path):
    words = ("name=first_try", "tags=[moog,test]", "logger=[wandb,mlflow,comet]", f"paths.output_dir={tmp_path}")
    loggers = OmegaConf.to_container(running.composed("train", *words).logger, resolve=True)
    assert loggers["wandb"]["name"] == loggers["mlflow"]["run_name"] == loggers["comet"]["name"] == "first_try"
    assert loggers["wandb"]["tags"] == loggers["comet"]["tags"] == ["moog", "test"]
    unnamed = running.composed("eval", "logger=wandb", f"paths.output_dir={tmp_path}").logger
    assert OmegaConf.to_container(unnamed, resolve=True)["wandb"]["name"] is None


@pytest.mark.long
def test_a_bad_name_is_one_line_before_any_directory_is_made(tmp_path):
    done = running.command("src/train.py", "name=../x", f"paths.log_dir={tmp_path}")
    assert done.returncode == 1 and not done.stdout and not list(tmp_path.iterdir())
    assert (
        done.stderr.startswith("name: '../x' given; give at most 64 letters, digits") and done.stderr.count("\n") == 1
    )
