"""Commands give whole results wherever they are started: odd names, read-only homes, variables of other programs."""

import json

import pytest

from tests import running

SMALL = (
    *("synth=moog_basic", "dataset.size=64", "trainer=cpu", "trainer.max_epochs=1", "trainer.limit_train_batches=2"),
    "extras.num_threads=1",
)
VARIABLES = {
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # of a notebook
    "RANK": "1",  # of a launcher that did not start this
    "HOME": "/proc/nohome",  # of a service
    "TMPDIR": "/nowhere",
    "LC_ALL": "C",
    "NO_COLOR": "1",
}


@pytest.mark.slow
def test_a_run_is_trained_tested_and_continued_in_odd_surroundings(tmp_path):
    data, run, logs = tmp_path / "my data #1 (é)", tmp_path / "it's a=b,c [1]", tmp_path / "2024"
    (tmp_path / "other/src").mkdir(parents=True)
    (tmp_path / "other/src/__init__.py").touch()

    def command(*words):
        places = (f"paths.data_dir={data}", f"paths.log_dir={logs}")
        done = running.command(*words, *places, cwd=tmp_path, PYTHONPATH=str(tmp_path / "other"), **VARIABLES)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr and "Traceback" not in done.stderr
        return done

    command("src/train.py", *SMALL, f"hydra.run.dir={run}")
    assert json.loads((run / "run.json").read_text())["sessions"][-1]["outcome"] == "finished"
    assert (run / "test_results.json").is_file() and list((run / "csv").iterdir())
    command("src/train.py", f"resume={run}", "trainer.max_epochs=2")
    (dataset,) = data.glob("vimh-*")
    command("src/eval.py", f"ckpt_path={run}/checkpoints/best.ckpt", f"data.data_dir={dataset}", "trainer=cpu")
    (results,) = logs.rglob("test_results.json")
    assert json.loads(results.read_text())["metrics"] == json.loads((run / "test_results.json").read_text())["metrics"]
    command("src/predict.py", f"ckpt_path={run}/checkpoints/best.ckpt", f"data.data_dir={dataset}")


@pytest.mark.slow
@pytest.mark.parametrize("limit", ["trainer.limit_test_batches=0", "trainer.limit_test_batches=0.0"])
def test_a_test_of_no_batches_is_none(tmp_path, data_root, limit):
    assert running.run("train", data_root, tmp_path, *SMALL, "logger=none", limit) >= 0
    assert not (tmp_path / "test_results.json").exists()
