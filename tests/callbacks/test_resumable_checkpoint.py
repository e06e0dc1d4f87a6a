"""The paths in a checkpoint's state are those of checkpoints: Lightning reads, replaces and deletes what they name."""

import pytest
import torch

from src.callbacks.resumable_checkpoint import ResumableCheckpoint
from src.utils.errors import UserError


@pytest.fixture
def callback(tmp_path):
    (tmp_path / "run").mkdir()
    return ResumableCheckpoint(dirpath=tmp_path / "run", monitor="val/nmae")


def state_of(callback, **values):
    return callback.state_dict() | {"best_model_path": "", "best_k_models": {}} | values


@pytest.mark.parametrize(
    "path",
    [
        *("local:///home", "file:///home/x.ckpt", "s3://bucket/x.ckpt", "simplecache::http://127.0.0.1:9/x.ckpt"),
        *(
            "/home",
            "/home/notes.txt",
            ".",
            "..",
            "x.ckpt/",
            "x.ckpt/..",
            "/a/../b.ckpt",
            "../b.ckpt",
            "best.CKPT",
            ".ckpt",
        ),
        *(
            "a\\x1b[31m.ckpt",
            "a\\0b.ckpt",
            "a\\nb.ckpt",
            "\\u202e.ckpt",
            " ",
            "memory://x.ckpt",
            "zip::x.ckpt",
            "C:/x.txt",
        ),
    ],
)
@pytest.mark.parametrize("key", ["best_model_path", "last_model_path", "kth_best_model_path", "best_k_models"])
def test_what_is_no_path_of_a_checkpoint_is_refused(callback, key, path):
    path = path.encode().decode("unicode_escape")
    value = {path: torch.tensor(0.5)} if key == "best_k_models" else path
    if path == "x.ckpt/":  # the same path as without the slash
        return
    with pytest.raises(
        UserError, match=r"^ckpt_path: its callbacks name .*, which is not the path of a checkpoint; train again$"
    ):
        callback.load_state_dict(state_of(callback, **{key: value}))


def test_the_files_of_a_run_that_was_moved_are_found_where_they_are_now(callback, tmp_path):
    (tmp_path / "run/best.ckpt").touch()
    old = "/somewhere/else/best.ckpt"
    best = {"best_model_path": old, "kth_best_model_path": old, "best_k_models": {old: torch.tensor(0.5)}}
    callback.load_state_dict(state_of(callback, dirpath="/somewhere/else", best_model_score=torch.tensor(0.5), **best))
    here = str(tmp_path / "run/best.ckpt")
    assert callback.best_model_path == callback.kth_best_model_path == here
    assert callback.best_k_models == {here: torch.tensor(0.5)} and callback.best_model_score == 0.5


def test_the_best_score_of_a_file_that_is_not_in_this_directory_is_forgotten(callback, tmp_path):
    """It may be another run's, or a stranger's, whose score cannot be checked."""
    there = tmp_path / "theirs.ckpt"
    there.touch()
    for path in ("/gone/best.ckpt", str(there)):
        score = torch.tensor(-1.0)
        best = {"best_model_path": path, "kth_best_model_path": path, "best_k_models": {path: score}}
        callback.load_state_dict(state_of(callback, best_model_score=score, kth_value=score, **best))
        assert callback.best_model_score is None and callback.kth_value == torch.inf
        assert callback.best_model_path == callback.kth_best_model_path == "" and callback.best_k_models == {}
