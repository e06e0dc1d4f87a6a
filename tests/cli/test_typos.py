"""A mistyped key or choice is one line that names the nearest one."""

import re

import pytest
from hydra.errors import HydraException

from src.cli.typos import explain, refuse_empty_keys
from src.utils.errors import UserError
from tests import running


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("modle=x", "modle: no such key. Did you mean 'model'?"),
        ("trainer.max_epoch=3", "trainer.max_epoch: no such key. Did you mean 'trainer.max_epochs'?"),
        ("data.batchsize=32", "data.batchsize: no such key. Did you mean 'data.batch_size'?"),
        ("lr=0.1", "lr: no such key. Did you mean 'model.optimizer.lr'?"),
        ("max_epochs=3", "max_epochs: no such key. Did you mean 'trainer.max_epochs'?"),
        ("expriment=example", "expriment: no such key. Did you mean 'experiment'?"),
        ("model.netwrok.dropout=0.1", "model.netwrok: no such key. Did you mean 'model.network'?"),
        ("callbacks.early_stoping.patience=3", "callbacks.early_stoping: .* Did you mean 'callbacks.early_stopping'?"),
        (
            "~callbacks.early_stoping",
            "~callbacks.early_stoping: the config has no such key to leave out. Did you mean 'early_stopping'?",
        ),
        ("~callbacks.ema", "~callbacks.ema: the config has no such key to leave out."),
        ("hydra.rundir=x", "hydra.rundir: no such key. Did you mean 'hydra.run.dir'?"),
        ("trainer.zzz=1", "trainer.zzz: no such key. Known: .*accelerator.*max_epochs.*, [+]KEY=VALUE adds a key"),
        ("model=cnn_mirco", "model/cnn_mirco not found. Did you mean 'cnn_micro'?"),
        ("experiment=moog_basik", "experiment/moog_basik not found. Did you mean 'moog_basic'?"),
        ("callbacks=earlystoping", "callbacks/earlystoping not found. Did you mean 'early_stopping'?"),
        ("callbacks=[default,earlystoping]", "callbacks/earlystoping not found. Did you mean 'early_stopping'?"),
        ("heads=zzz", "heads/zzz not found. Known: classification, .*regression.*"),
        ("debug=overfitt", "debug/overfitt not found. Did you mean 'overfit'?"),
        (
            "trainer.max_epochs={",
            "trainer.max_epochs={: cannot be read; if it is text, paste 'trainer.max_epochs=\"{\"'",
        ),
        ("sound.wav", "sound.wav: give key=value, as in ckpt_path=best or input=sound.wav"),
        ("synth.parameters.gain[/].max=1", "synth.parameters.gain[/].max=1: synth.parameters.gain[/].max cannot be"),
        ("nonsense=3", "nonsense: no such key. Known: "),
        (
            "extras=fast,slow",
            "extras: several values given, fast,slow; give one value, a list as in 'extras=[fast,slow]', or -m",
        ),
        (
            "seed=1,2",
            "seed: several values given, 1,2; give one value, a list as in 'seed=[1,2]', or -m for a run of each",
        ),
        ("model.adam_lr=0.1", "model.adam_lr: no such key. Did you mean 'model.optimizer.lr'?"),
    ],
)
def test_the_nearest_name_is_told(override, expected):
    with pytest.raises(HydraException) as raised:
        running.composed("train", override)
    line = explain(raised.value)
    assert "\n" not in line
    assert line.startswith(expected) or re.match(expected.replace("?", r"\?"), line), line


def test_a_value_and_a_key_below_it_exclude_each_other():
    with pytest.raises(HydraException) as raised:
        running.composed("predict", "refine=5", "refine.starts=3")
    expected = "refine.starts: no such key. refine is also given, as one value; give only keys below it. ("
    assert explain(raised.value).startswith(expected)


def test_a_group_that_a_command_does_not_have_is_told():
    with pytest.raises(HydraException) as raised:
        running.composed("predict", "trainer=cpu")
    assert explain(raised.value) == "trainer: this command has no group trainer (--help lists its groups)"


def test_the_key_of_the_data_is_suggested_for_its_last_part():
    with pytest.raises(HydraException) as raised:
        running.composed("eval", "data_dir=x")
    assert explain(raised.value).startswith("data_dir: no such key. Did you mean 'data.data_dir'?")


@pytest.mark.parametrize("word", ["=3", "", " ", "=", "\t"])
def test_a_word_without_a_key_is_one_line(word):
    with pytest.raises(UserError, match=r"has no key; give key=value without spaces around the equals sign$"):
        refuse_empty_keys(["seed=1", word])
