"""A mistyped key or choice is one line that names the nearest one."""

import re

import pytest
from hydra.errors import HydraException

from src.utils.typos import explain
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
            "~callbacks.early_stoping: there is none to leave out. Did you mean 'early_stopping'?",
        ),
        ("~callbacks.ema", "~callbacks.ema: there is none to leave out."),
        ("hydra.rundir=x", "hydra.rundir: no such key. Did you mean 'hydra.run.dir'?"),
        ("trainer.zzz=1", "trainer.zzz: no such key. Known: .*accelerator.*max_epochs.*"),
        ("model=cnn_mirco", "model/cnn_mirco not found. Did you mean 'cnn_micro'?"),
        ("experiment=moog_basik", "experiment/moog_basik not found. Did you mean 'moog_basic'?"),
        ("callbacks=earlystoping", "callbacks/earlystoping not found. Did you mean 'early_stopping'?"),
        ("callbacks=[default,earlystoping]", "callbacks/earlystoping not found. Did you mean 'early_stopping'?"),
        ("heads=zzz", "heads/zzz not found. Known: classification, .*regression.*"),
        ("debug=overfitt", "debug/overfitt not found. Did you mean 'overfit'?"),
        ("trainer.max_epochs={", "trainer.max_epochs={: .*"),
    ],
)
def test_the_nearest_name_is_told(override, expected):
    with pytest.raises(HydraException) as raised:
        running.composed("train", override)
    line = explain(raised.value)
    assert "\n" not in line
    assert re.fullmatch(expected.replace("?", r"\?"), line) or line.startswith(expected), line
