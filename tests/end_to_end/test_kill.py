"""kill -9 at any moment: no file is ever seen half written, and what goes on ends bit by bit where it would have."""

import csv
import json
import os
import random
import signal
import time
import zipfile
from datetime import datetime
from functools import partial

import pytest
import torch

from src.run.record import is_finished, read_record
from tests.end_to_end import sessions
from tests.end_to_end.test_resume import checkpoint_of, differences

KILLS = 20
WORDS = (
    *("trainer=cpu", "trainer.max_epochs=8", "dataset.size=512", "data.batch_size=8", "extras.num_threads=1"),
    *("model.network.dropout=0.1", "scheduler=plateau", "wrapper=lookahead", "callbacks=[default,ema]"),
)


def is_writing(run):
    """Whether a checkpoint lies there under its temporary name."""
    return any(run.glob("checkpoints/.*.partial"))


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_where_an_undisturbed_one_does(tmp_path):
    """Files lie under their temporary names for a while: many kills come between their bytes and their names."""
    words = [*WORDS, f"paths.data_dir={tmp_path / 'data'}"]
    straight = tmp_path / "straight"
    code, text = sessions.finish(tmp_path / "straight.log", *words, f"hydra.run.dir={straight}", slow_writes=0.05)
    assert code == 0, text
    (session,) = read_record(straight)
    length = (datetime.fromisoformat(session["ended"]) - datetime.fromisoformat(session["started"])).total_seconds()
    draw = random.Random(0)
    kills = runs = while_writing = 0
    while kills < KILLS:
        run, runs = tmp_path / f"killed_{runs}", runs + 1
        log = tmp_path / f"{run.name}.log"
        while not is_finished(run):
            assert kills < 3 * KILLS, f"a run that makes no progress: {log.read_text()}"
            again = [f"resume={run}"] if (run / ".hydra/config.yaml").is_file() else [*words, f"hydra.run.dir={run}"]
            process = sessions.start(log, *again, slow_writes=0.05)
            if draw.random() < 0.8:  # the others may be killed while they start
                sessions.until(
                    partial(has_begun, run, len(read_record(run))), partial(has_ended, process), log.read_text
                )
            process.join(draw.uniform(0.0, length))
            while kills % 4 == 0 and process.is_alive() and not is_writing(run):  # as rare as writes are
                time.sleep(0.005)
            if process.is_alive():
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                kills += 1
                while_writing += is_writing(run)
                require_whole(run)
            else:
                assert process.exitcode == 0, log.read_text()
        require_same(straight, run)
    assert while_writing > 0


def has_begun(run, sessions_before):
    return len(read_record(run)) > sessions_before


def has_ended(process):
    return not process.is_alive()


def require_whole(run):
    """Every file that has its final name can be read to its end."""
    for path in run.glob("checkpoints/[!.]*"):
        assert path.suffix == ".ckpt" and zipfile.ZipFile(path).testzip() is None
        torch.load(path, weights_only=True)
    if (run / "run.json").exists():
        assert json.loads((run / "run.json").read_text())["sessions"][-1]["outcome"] in ("running", "finished")
    if (run / "csv/metrics.csv").exists():
        with (run / "csv/metrics.csv").open(newline="") as file:
            assert all(None not in row and row["step"].isdigit() for row in csv.DictReader(file))


def require_same(straight, run):
    """Weights, every state of what trains, the log and the results are those of the run that nothing disturbed."""
    for name in ("best", "last"):
        found = differences(checkpoint_of(straight, name), checkpoint_of(run, name))
        assert not [one for one in found if not one.startswith(".run.")]  # somebody may commit meanwhile
    assert (straight / "test_results.json").read_bytes() == (run / "test_results.json").read_bytes()
    assert rows_of(straight) == rows_of(run)
    outcomes = [one["outcome"] for one in json.loads((run / "run.json").read_text())["sessions"]]
    assert outcomes[-1] == "finished" and set(outcomes[:-1]) <= {"killed"}


def rows_of(run):
    with (run / "csv/metrics.csv").open(newline="") as file:
        return sorted(json.dumps(row, sort_keys=True) for row in csv.DictReader(file))
