"""Which runs are given, what they recorded, and which of them are one method."""

import numpy as np
import pytest

from src.evaluation.predictions_file import FILE, write_predictions_file
from src.run.methods import facts, find_predictions, group_methods, method_of, notes_on, read_tested
from src.utils.errors import UserError
from tests.evaluation.reports.predictions import predicted
from tests.run.test_table import make_run, session

CONFIG = """seed: {seed}
name: null
model:
  width: {width}
paths:
  log_dir: {directory}
data:
  seed: ${{seed}}
"""


def make_tested(directory, seed=1, width=8, overrides=(), config=CONFIG, errors=None, **changes):
    """Leave the files of a tested run in a directory; return its predictions."""
    recorded = {"seed": seed, "name": None, "num_parameters": 100 * width, "training_seconds": 2.5}
    make_run(directory, session(**recorded | changes))
    random = np.random.default_rng(seed)
    write_predictions_file(predicted(random.standard_normal((50, 2)) if errors is None else errors), directory)
    (directory / ".hydra").mkdir()
    (directory / ".hydra/config.yaml").write_text(config.format(seed=seed, width=width, directory=directory))
    words = "".join(f"- {word}\n" for word in (*overrides, f"seed={seed}"))
    (directory / ".hydra/overrides.yaml").write_text(words)
    return directory / FILE


def test_a_directory_stands_for_the_runs_below_it_in_the_order_of_jobs(tmp_path):
    for name in ("10", "9"):
        make_tested(tmp_path / "jobs" / name)
    make_run(tmp_path / "jobs/2", session())
    single = make_tested(tmp_path / "single")
    found, without = find_predictions([tmp_path / "jobs", single, tmp_path / "single"])
    assert found == [tmp_path / "jobs/9" / FILE, tmp_path / "jobs/10" / FILE, single, single]
    assert without == [tmp_path / "jobs/2"]


def test_places_without_runs_are_named(tmp_path):
    make_run(tmp_path / "runs/untested", session())
    (tmp_path / "empty").mkdir()
    for name, message in (("empty", "holds no run"), ("runs/untested", f"has no {FILE}")):
        with pytest.raises(UserError, match=message):
            find_predictions([tmp_path / name])
    with pytest.raises(UserError, match="no such file; give a"):
        read_tested(find_predictions([tmp_path / "nowhere"])[0][0])


def test_a_run_is_what_it_recorded(tmp_path):
    run = read_tested(make_tested(tmp_path / "a", seed=7, overrides=["model=tiny"], name="first"))
    assert (run.name, run.model, run.seed, run.num_parameters, run.training_seconds) == (
        "first",
        "cnn_micro",
        7,
        800,
        2.5,
    )
    assert run.overrides == {"model": "tiny", "seed": "7"}
    assert run.checkpoint == tmp_path / "a/checkpoints/best.ckpt"


def test_the_time_is_that_of_all_sessions_or_unknown(tmp_path):
    path = make_tested(tmp_path / "a")
    for name, sessions, seconds in (("b", [1.0, 2.5], 3.5), ("c", [None, 2.5], None)):
        make_run(tmp_path / name, *(session(training_seconds=taken) for taken in sessions))
        path = path.rename(tmp_path / name / FILE)
        assert read_tested(path).training_seconds == seconds


def test_predictions_of_eval_find_their_training(tmp_path):
    trained = make_tested(tmp_path / "trained", seed=3).parent
    (trained / "checkpoints").mkdir()
    (trained / "checkpoints/best.ckpt").write_bytes(b"weights")
    write_predictions_file(predicted(np.zeros((5, 1))), tmp_path / "evaluated", trained / "checkpoints/best.ckpt")
    run = read_tested(tmp_path / "evaluated" / FILE)
    assert (run.directory, run.seed, run.num_parameters) == (trained, 3, 800)


def test_predictions_alone_are_a_method(tmp_path):
    for name in "ab":
        write_predictions_file(predicted(np.zeros((5, 1))), tmp_path / name)
    methods = group_methods([read_tested(tmp_path / name / FILE) for name in "ab"])
    assert [*methods] == ["A", "B"]
    assert facts(methods["A"], None).num_parameters is None
    assert any(str(tmp_path / "a") in note for note in notes_on(methods))


def runs_of(tmp_path, *runs):
    return [read_tested(make_tested(tmp_path / str(at), **run)) for at, run in enumerate(runs)]


def test_runs_of_one_config_with_other_seeds_are_one_method(tmp_path):
    given = [{"seed": seed, "width": width, "overrides": [f"model=cnn_{width}"]} for seed in (1, 2) for width in (8, 9)]
    methods = group_methods(runs_of(tmp_path, *given))
    assert {name: [run.seed for run in runs] for name, runs in methods.items()} == {"cnn_8": [1, 2], "cnn_9": [1, 2]}
    known = facts(methods["cnn_9"], 1.5)
    assert (known.seeds, known.num_parameters, known.training_seconds, known.latency_ms) == ((1, 2), 900, 2.5, 1.5)
    assert notes_on(methods) == []


def test_runs_of_a_single_config_are_compared_one_by_one(tmp_path):
    assert [*group_methods(runs_of(tmp_path, {"seed": 1}, {"seed": 2}))] == ["seed 1", "seed 2"]


def test_the_same_config_and_seed_again_is_another_method(tmp_path):
    runs = runs_of(tmp_path, *({"seed": seed} for seed in (1, 2, 3, 1, 2, 3)))
    assert [[run.seed for run in of_method] for of_method in group_methods(runs).values()] == [[1, 2, 3], [1, 2, 3]]


@pytest.mark.parametrize(
    ("first", "second", "names"),
    [
        ({"name": "mine"}, {"name": "yours"}, ["mine", "yours"]),
        ({"overrides": ["model.lr=0.1", "ema=true"]}, {"overrides": ["model.lr=0.2"]}, ["lr=0.1 ema=true", "lr=0.2"]),
        ({"model": "cnn_micro"}, {"model": "vit_tiny"}, ["cnn_micro", "vit_tiny"]),
        ({"overrides": ["spectral=mel_32x32"]}, {}, ["mel_32x32", "cnn_micro"]),
        ({"seed": 1}, {"seed": 2}, ["A", "B"]),
        ({"overrides": ["model=" + 30 * "a"]}, {"overrides": ["model=b"]}, ["A", "B"]),
        ({"name": "same"}, {"name": "same"}, ["A", "B"]),
    ],
)
def test_methods_are_named_by_what_tells_them_apart(tmp_path, first, second, names):
    assert [*group_methods(runs_of(tmp_path, first | {"width": 1}, second | {"width": 2}))] == names


def test_a_baseline_is_a_method_or_one_of_its_runs(tmp_path):
    methods = group_methods(runs_of(tmp_path, {"width": 1, "name": "mine"}, {"width": 2, "name": "yours"}))
    for given in ("yours", str(tmp_path / "1"), str(tmp_path / "1" / FILE)):
        assert method_of(given, methods) == "yours"
    with pytest.raises(UserError, match=r"neither one of the runs nor a method\. Did you mean 'mine'"):
        method_of("mind", methods)


def test_other_machines_and_commits_are_told(tmp_path):
    gpu, cpu = {"gpus": ["H100"]}, {"gpus": [], "cpu": "M3", "threads": 1}
    changes = [{"hardware": gpu, "git": {"commit": "a"}}, {"hardware": cpu, "git": {"commit": "b"}, "width": 2}]
    notes = "\n".join(notes_on(group_methods(runs_of(tmp_path, *changes))))
    assert "trained on H100; M3, 1 thread" in notes and "different commits" in notes


@pytest.mark.parametrize("content", [b"\xff", b"- a", b"", b"a: &x [1]\nb: [*x, *x]\n"])
def test_damaged_files_are_unknown_settings(tmp_path, content):
    path = make_tested(tmp_path / "a")
    for name in (".hydra/config.yaml", ".hydra/overrides.yaml", "run.json"):
        (tmp_path / "a" / name).write_bytes(content)
    run = read_tested(path)
    assert (run.seed, run.num_parameters, run.hardware) == (None, None, "")
    assert len(group_methods([run, run])) == 2
