"""A checkpoint is written whole, or the one before it stays."""

import io
import resource
from collections import OrderedDict

import pytest
import torch

from src.callbacks.checkpoint_io import WholeCheckpoints, save_whole
from src.models.checkpoint_file import load_plain
from src.utils.errors import UserError


def test_a_checkpoint_is_read_as_it_was_saved(tmp_path):
    path = tmp_path / "checkpoints/last.ckpt"
    WholeCheckpoints().save_checkpoint({"a": torch.arange(5), "b": 2}, path)
    found = WholeCheckpoints().load_checkpoint(path, weights_only=True)
    assert torch.equal(found["a"], torch.arange(5)) and found["b"] == 2
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture
def full_disk():
    """Files cannot grow beyond 4 KiB."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_one_line_and_the_checkpoint_before_stays(tmp_path, full_disk):
    path = tmp_path / "last.ckpt"
    buffer = io.BytesIO()
    torch.save({"a": 1}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match=rf"^{path}: File too large while saving 1.0 MiB; the .* space, then do this$"):
        WholeCheckpoints("do this").save_checkpoint({"a": torch.zeros(2**18)}, path)
    assert torch.load(path, weights_only=True) == {"a": 1} and list(tmp_path.iterdir()) == [path]


def test_tensors_with_attributes_of_their_own_are_saved_as_plain_data(tmp_path):
    weights = torch.arange(3.0)
    weights.placement = "full"  # as FSDP marks the tensors that it gathers
    content = {"state_dict": OrderedDict(a=weights), "optimizer_states": [{"state": {0: {"step": weights}}}]}
    save_whole(content, tmp_path / "a.ckpt")
    found = load_plain(tmp_path / "a.ckpt")
    assert torch.equal(found["state_dict"]["a"], weights)
    assert torch.equal(found["optimizer_states"][0]["state"][0]["step"], weights)
    assert weights.placement == "full"  # the run's own tensors are left alone
