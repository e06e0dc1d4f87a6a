"""Which file `best` and `last` mean."""

import logging
import os
import shlex

import pytest

from src.run.checkpoints import find_checkpoint
from src.utils.errors import UserError


def test_a_path_is_itself_and_must_exist(tmp_path):
    path = tmp_path / "a.ckpt"
    with pytest.raises(UserError, match=r"^ckpt_path: .*a\.ckpt does not exist; give a \.ckpt file, best, or last$"):
        find_checkpoint(str(path), tmp_path)
    with pytest.raises(UserError, match=r"is a directory; give a \.ckpt file in it"):
        find_checkpoint(str(tmp_path), tmp_path)
    path.touch()
    assert find_checkpoint(str(path), tmp_path) == path


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_name_is_that_checkpoint_of_the_newest_run(tmp_path, name):
    with pytest.raises(UserError, match=rf"^ckpt_path: no run in .* has a {name}\.ckpt; train a model first$"):
        find_checkpoint(name, tmp_path)
    paths = [tmp_path / f"train/runs/{run}/checkpoints/{name}.ckpt" for run in ("b", "a", "c")]
    for age, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    os.utime(paths[1], (2000, 2000))
    assert find_checkpoint(name, tmp_path) == paths[1]


def run_with(root, name, checkpoints, age):
    directory = root / "train/runs" / name
    for checkpoint in (*checkpoints, "../run.json"):
        path = directory / "checkpoints" / checkpoint
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    return directory


def test_the_file_that_a_name_stands_for_is_told(tmp_path, caplog):
    run = run_with(tmp_path, "a", ["best.ckpt"], 0)
    with caplog.at_level(logging.INFO):
        chosen = find_checkpoint("best", tmp_path)
        find_checkpoint(str(chosen), tmp_path)
    assert [record.getMessage() for record in caplog.records] == [f"checkpoint: {run}/checkpoints/best.ckpt"]


@pytest.mark.parametrize(
    ("checkpoints", "other"),
    [
        (["last.ckpt"], None),
        ([], None),
        (["last.ckpt", "0 (1)-0.3.ckpt"], "0 (1)-0.3.ckpt"),
        (["0-val/nmae=0.3.ckpt"], "0-val/nmae=0.3.ckpt"),
    ],
)
def test_a_newer_run_without_such_a_file_is_warned_of(tmp_path, caplog, checkpoints, other):
    root = tmp_path / "it's"
    older, newest = run_with(root, "older", ["best.ckpt"], 10), run_with(root, "newest", checkpoints, 0)
    assert find_checkpoint("best", root) == older / "checkpoints/best.ckpt"
    (record,) = caplog.records
    told, _, hint = record.getMessage().partition("; it has ")
    assert record.levelno == logging.WARNING and told == f"the newest run, {newest}, has no best.ckpt"
    assert shlex.split(hint) == ([f"ckpt_path={newest}/checkpoints/{other}"] if other else [])
