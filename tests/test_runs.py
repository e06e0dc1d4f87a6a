"""`python src/runs.py`: fast, and helpful where there is nothing to list."""

import csv

from tests import running
from tests.cli.test_entry import HEAVY
from tests.run.test_table import make_run, session


def test_an_empty_log_says_what_to_do(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere"):
        done = running.command("src/runs.py", str(root))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"{root}/train has no runs yet; train one with: python src/train.py\n"


def test_runs_are_listed_and_those_that_never_trained_are_counted(tmp_path):
    make_run(tmp_path / "train/runs/2026-11-26_first_try", session(), test=0.05)
    for at in range(2):
        (tmp_path / f"train/runs/{at}/.hydra").mkdir(parents=True)
    done = running.command("src/runs.py", str(tmp_path), "--save", str(tmp_path / "all"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "first_try" in done.stdout and "0.04568" in done.stdout and "0.05" in done.stdout
    assert f"newest: {tmp_path}/train/runs/2026-11-26_first_try\n" in done.stdout
    assert "not listed: 2 commands that ended before training began" in done.stdout
    with (tmp_path / "all.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["first_try"]


def test_nothing_heavy_is_imported(tmp_path):
    done = running.command("src/runs.py", str(tmp_path), flags=("-X", "importtime"))
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "rich" in imported and not imported.intersection({*HEAVY, "hydra", "omegaconf", "numpy"})
