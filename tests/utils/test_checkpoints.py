"""Which file `best` and `last` mean."""

import os

import pytest

from src.utils.checkpoints import find_checkpoint
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
