"""A file that somebody changes while it is mapped ends a run in one line, by whatever way its bytes are read."""

import os
import pickle
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from torch.utils.data import DataLoader

from src.data.vimh.watched_file import WatchedFile
from src.data.vimh_datamodule import VIMHDataModule
from src.data.vimh_dataset import VIMHDataset
from src.utils.errors import UserError
from tests import running
from tests.data.references import edit_info


def truncate(path):
    os.truncate(path, 100)


def empty(path):
    os.truncate(path, 0)


def overwrite(path):
    content = path.read_bytes()
    os.utime(path, ns=(0, 0))  # else a test is quick enough to write within one tick of the file system's clock
    path.write_bytes(content)


def append(path):
    with path.open("ab") as file:
        file.write(b"more")


CHANGES = [truncate, empty, overwrite, append]
HARMLESS = [
    lambda path: path.rename(path.with_name("elsewhere")),
    lambda path: path.unlink(),
    lambda path: path.chmod(0o400),
    lambda path: os.replace(shutil.copy(path, path.with_name("new")), path),
]


@pytest.mark.parametrize("change", CHANGES)
def test_writing_to_a_file_is_noticed(tmp_path, change):
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    file = WatchedFile(path)
    file.require_unchanged()
    change(path)
    assert not file.is_unchanged()
    with pytest.raises(UserError, match=rf"^{path}: was changed while it was in use; [^\n]*$"):
        file.require_unchanged()


@pytest.mark.parametrize("change", HARMLESS, ids=["rename", "delete", "chmod", "replace"])
def test_what_leaves_the_contents_alone_is_no_change(tmp_path, change):
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    file = WatchedFile(path)
    change(path)
    file.require_unchanged()


def test_a_file_is_closed_with_its_watcher(tmp_path):
    (tmp_path / "a").touch()
    before = len(os.listdir("/dev/fd"))
    watched = [WatchedFile(tmp_path / "a") for _ in range(10)]
    assert len(os.listdir("/dev/fd")) == before + len(watched)
    del watched
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("name", ["train", "train_params.npy"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_dataset_that_is_changed_while_it_is_read_is_one_line(tiny, copy_of, name, change):
    directory = copy_of(tiny)
    dataset = VIMHDataset(directory, "train")
    dataset.__getitems__(range(3))
    change(directory / name)
    for read in (lambda: dataset.__getitems__(range(100, 103)), dataset.targets, lambda: dataset[0]):
        with pytest.raises(UserError, match=rf"^{directory / name}: was changed while it was in use; [^\n]*$"):
            read()


@pytest.mark.parametrize("change", HARMLESS, ids=["rename", "delete", "chmod", "replace"])
def test_an_open_dataset_is_read_on_from_the_bytes_that_were_opened(tiny, copy_of, change):
    directory = copy_of(tiny)
    dataset = VIMHDataset(directory, "train")
    change(directory / "train")
    np.testing.assert_array_equal(dataset.targets(), VIMHDataset(tiny, "train").targets())


def test_a_dataset_that_is_replaced_between_training_and_testing_is_refused(tiny, copy_of):
    directory = copy_of(tiny)
    module = VIMHDataModule(directory)
    module.setup("fit")
    sums = module.spec.sha256
    edit_info(directory, sha256={**sums, "test": sums["train"]})
    with pytest.raises(UserError, match=rf"^{directory}: was replaced while it was in use; [^\n]*$"):
        module.setup("test")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_notices_a_change_hands_over_one_line(tiny, copy_of, workers):
    directory = copy_of(tiny)
    dataset = VIMHDataset(directory, "train")
    truncate(directory / "train")
    loader = DataLoader(dataset, batch_size=8, num_workers=workers, collate_fn=list)
    with pytest.raises(UserError) as error:
        next(iter(loader))
    assert str(error.value).startswith(f"{directory / 'train'}: was changed") and "\n" not in str(error.value)


def test_a_dataset_is_pickled_by_its_place_and_not_by_its_bytes(tiny):
    dataset = VIMHDataset(tiny, "train", "quantised", np.array([5, 3, 8]))
    content = pickle.dumps(dataset)
    assert len(content) < (tiny / "train").stat().st_size
    np.testing.assert_array_equal(pickle.loads(content).targets(), dataset.targets())


READ = """
import os, sys
import numpy as np
from src.data.vimh_dataset import VIMHDataset
dataset = VIMHDataset(sys.argv[1], "train")
rows = np.arange(len(dataset))
dataset.records.codes(rows)
{between}
{read}
print("not reached")
"""


def run_script(directory, between, read):
    script = READ.format(between=between, read=read)
    line = [sys.executable, "-c", script, str(directory)]
    return subprocess.run(line, cwd=running.ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("train", "dataset.records.gather(rows)"),
        pytest.param("train", "dataset.records.codes(rows)", marks=pytest.mark.slow),
        pytest.param("train_params.npy", "np.array(dataset.values)", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_is_cut_off_at_the_very_moment_of_reading_is_one_line_too(tiny, copy_of, name, read):
    """What no check before can see: the kernel sends SIGBUS for a page that is no longer there."""
    directory = copy_of(tiny)
    done = run_script(directory, f"os.truncate(sys.argv[1] + '/{name}', 0)", read)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and not done.stdout
    assert line.startswith(f"{directory / name}: was changed while it was in use")


@pytest.mark.long
def test_another_file_that_is_cut_off_still_ends_the_process_by_its_signal(tiny, copy_of):
    between = "path = sys.argv[1] + '/other'; open(path, 'wb').write(bytes(99)); other = np.memmap(path, np.uint8, 'r')"
    done = run_script(copy_of(tiny), between, "os.truncate(path, 0); other.sum()")
    assert done.returncode == -signal.SIGBUS and not done.stdout
