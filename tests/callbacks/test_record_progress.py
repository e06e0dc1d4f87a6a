"""What run.json says of a run that is going on."""

import pytest

from src.callbacks.progress import TrainingProgress
from src.callbacks.pruning import Pruning
from src.callbacks.record_progress import RecordProgress
from src.models.build import load_checkpoint
from src.run.record import Session, read_record
from src.run.table import read_run
from tests import running
from tests.callbacks.test_progress import trainer_of


def test_a_finished_run_has_its_epochs_its_limits_and_what_it_was(data_root, saw, tmp_path):
    words = ("name=first", "tags=[a,b]", "trainer.max_epochs=3", "test=false", "logger=none")
    score = running.run("train", data_root, tmp_path, *words)
    (session,) = read_record(tmp_path)
    assert (session["epochs"], session["planned_epochs"], session["score"]) == (3, 3, score)
    assert (session["name"], session["tags"], session["monitor"]) == ("first", ["a", "b"], "val/nmae")
    assert session["data"] == {"name": saw.name, "synth": "simple_saw", "samples": 128}
    weights = load_checkpoint(tmp_path / "checkpoints/best.ckpt").parameters()
    assert session["num_parameters"] == sum(weight.numel() for weight in weights)
    assert 0 < session["training_seconds"] < 60


def test_the_record_is_written_while_the_run_goes_on_but_not_in_each_epoch(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("src.callbacks.record_progress.time.monotonic", lambda: now[0])
    session = Session(tmp_path, {})
    written = []
    monkeypatch.setattr(session, "write", lambda: written.append(session.entry["epochs"]))
    callback, trainer = RecordProgress(session, "val/x"), trainer_of()
    callback.on_train_start(trainer, None)
    for at, best in enumerate((None, 0.5, 0.4)):
        now[0] += 3.0
        callback.epochs, callback.best = at + 1, best
        callback.epoch_ended(trainer)
        assert session.entry["score"] == best
        assert session.entry["training_seconds"] == now[0]
    assert written == [1, 3]
    assert isinstance(callback, TrainingProgress)


@pytest.mark.parametrize(("pruned", "state"), [("after epoch 3", "pruned"), ("", "finished")])
def test_a_run_that_was_pruned_says_so(tmp_path, pruned, state):
    pruning, trainer = Pruning("val/x"), trainer_of()
    pruning.pruned = pruned
    session = Session(tmp_path, {})
    callback = RecordProgress(session, "val/x")
    trainer.callbacks = [pruning, callback]
    with session:
        callback.on_train_start(trainer, None)
        callback.on_train_end(trainer, None)
    assert read_run(tmp_path).state == state
