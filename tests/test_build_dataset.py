"""The command line of build_dataset.py: one line for every fault, and nothing left behind, however it ends."""

import json
import logging
import os
import resource
import signal
import sys
from types import SimpleNamespace

import pytest

import build_dataset
from src.data.build.pool import Pool
from src.data.generate import generate
from src.data.info import read_spec
from src.evaluation.reports.dataset.quality import QUALITY_FILE
from src.utils.errors import UserError
from tests import running
from tests.data.conftest import tiny_recipe
from tests.data.references import snapshot

SCRIPT = "build_dataset.py"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    root = tmp_path_factory.mktemp("sources")
    return [generate(tiny_recipe(**{"dataset.seed": seed, "dataset.name": f"set_{seed}"}), root)[0] for seed in (0, 1)]


@pytest.fixture
def run_here(tmp_path, monkeypatch):
    """Run the command in this process as if it had been started in tmp_path."""
    here = SimpleNamespace(runtime=SimpleNamespace(cwd=str(tmp_path)))
    monkeypatch.setattr(build_dataset, "HydraConfig", SimpleNamespace(get=lambda: here))
    monkeypatch.chdir(tmp_path)
    given = ("paths.output_dir=.", f"paths.log_dir={tmp_path / 'logs'}", f"build.output_dir={tmp_path / 'data'}")
    return lambda *words: build_dataset.main(running.composed("build", *given, *words))


def both(sources):
    return f"from=[{sources[0]},{sources[1]}]"


def test_a_dataset_is_built_and_reported(sources, tmp_path, run_here, capsys):
    before = [snapshot(source) for source in sources]
    run_here(
        *(both(sources), "name=both", "filter={note_velocity:[70,120]}", "drop=duplicates"),
        *("split.method=stratified", "balance.method=oversample", "balance.by=[note_velocity]", "balance.bins=4"),
    )
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert [snapshot(source) for source in sources] == before
    made = tmp_path / "data/both"
    assert f"({read_spec(made).counts['train']:,} train" in printed and "oversample +" in printed
    quality = json.loads((made / QUALITY_FILE).read_text())
    assert quality["samples"] == read_spec(made).counts and quality["checks"][0]["name"] == "No leakage"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_check_reads_only(sources, tmp_path, run_here, capsys):
    before = snapshot(sources[0])
    run_here(f"check={sources[0]}")
    assert snapshot(sources[0]) == before
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["set_0.html", f"set_0_{QUALITY_FILE}"]
    assert "No leakage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "from: not given"),
        (["from=nowhere"], "nowhere: does not exist"),
        (["from=a", "check=b"], "check: given with from"),
        (["from=a", "name=a/b"], "name: 'a/b' given"),
        (["from=a", "drop=[loud]"], "drop.0: 'loud' given"),
        (["from=a", "filter={note_velocity: 70}"], "filter.note_velocity: 70 given; give a list"),
        (["from=a", "split.method=half"], "split.method: 'half' given"),
        (["from=a", "split.val_fraction=0.2"], "split: val_fraction and test_fraction need method=random"),
        (
            ["from=a", "split.method=random", "split.folds=5", "split.fold=0", "split.test_fraction=0.2"],
            "split: val_fraction and test_fraction need method=random or method=stratified, without folds",
        ),
        (["from=a", "balance.count=5"], "balance: count needs a method"),
        (["from=a", "split.folds=5"], "split: folds and fold belong together"),
        (["from=a", "split.folds=5", "split.fold=5"], "split: fold 5 given; give 0 to 4"),
        (["from=a", "split.folds=5", "split.fold=1"], "split: folds, group and by need method=random"),
        (["from=a", "split.method=random", "split.by=[x]"], "split: by needs method=stratified"),
        (["from=a", "balance.method=render"], "balance: method and by belong together"),
        (["from=a", "balance.count=0"], "balance.count: 0 given"),
        (["from=a", "filter={x:3}"], "filter.x: 3 given"),
        (["from=a", "seed=-1"], "seed: -1 given"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_config_is_one_line(words, part, tmp_path, run_here, caplog):
    with pytest.raises(SystemExit) as exited:
        run_here(*words)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert exited.value.code == 1 and part in line and "\n" not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.parametrize(
    ("words", "part"),
    [(["form=x"], "form: no such key. Did you mean 'from'?"), (["split.methd=x"], "split.methd: no such key")],
    ids=str,
)
def test_a_mistyped_key_is_one_line(words, part, tmp_path):
    done = running.command(SCRIPT, *words, cwd=tmp_path)
    assert done.returncode == 1 and part in done.stderr and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_folds_are_a_multirun_from_paths_that_hydra_would_misread(sources, tmp_path):
    odd = tmp_path / "a (1), é"
    odd.symlink_to(sources[0])
    folds = ("split.method=random", "split.folds=3", "split.fold=range(3)", "name=mine")
    done = running.command(SCRIPT, "-m", f"from=['{odd}']", *folds, f"paths.log_dir={tmp_path / 'logs'}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [f"mine_fold{fold}of3" for fold in range(3)]


def test_ctrl_c_is_one_line_and_leaves_nothing(sources, tmp_path, run_here, monkeypatch, caplog):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Pool, "images", interrupted)
    with pytest.raises(SystemExit) as exited:
        run_here(both(sources), "name=both")
    assert exited.value.code == 130 and "interrupted; no partly written file was kept" in caplog.text
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_kill_leaves_no_dataset_and_the_next_run_cleans_up(sources, tmp_path, run_here, monkeypatch):
    read = Pool.images

    def killed(pool, samples):
        if len(samples) < 100:  # the second split: the first is written
            os.kill(os.getpid(), signal.SIGKILL)
        return read(pool, samples)

    child = os.fork()
    if not child:
        Pool.images = killed
        run_here(both(sources), "name=both")
        os._exit(0)  # not reached
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "data").iterdir() if not path.name.startswith(".")] == []
    assert list((tmp_path / "data").glob(".both.partial-*"))
    run_here(both(sources), "name=both")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["both"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits")
def test_a_full_disk_is_one_line_and_leaves_nothing(sources, tmp_path, run_here, caplog):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, old[1]))
    try:
        with pytest.raises(SystemExit) as exited:
            run_here(both(sources), "name=both")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, before)
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert exited.value.code == 1 and "File too large" in line and not list((tmp_path / "data").iterdir())


def test_one_source_needs_no_brackets():
    assert build_dataset.parse({"from": "data/a"}).sources == ["data/a"]
    with pytest.raises(UserError, match="from: not given"):
        build_dataset.parse({"from": []})
