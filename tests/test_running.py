"""The short way in which the other tests compose gives what Hydra gives."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException

from tests import running


@pytest.mark.parametrize(
    "name, overrides",
    [
        ("train", ("trainer.max_epochs=3", "experiment=moog_basic", "data.batch_size=null", "callbacks=[default,ema]")),
        (
            "train",
            (
                "model.optimizer.lr=1e-2",
                "~logger.csv",
                "+data.extra=1",
                "name='a b'",
                "tags=[a,2]",
                "seed=${oc.env:X,3}",
            ),
        ),
        ("generate", ("synth=simple_saw", "dataset={size: 12, seed: 3}", "spectral.height=64")),
        ("eval", ("ckpt_path=x.ckpt",)),
        (
            "train",
            (
                "~callbacks.early_stopping",
                "+callbacks.stop={_target_: a.B, c: 1}",
                "+callbacks.stop.d=[2]",
                "++trainer.max_epochs=7",
                "++trainer.new={deep: {er: 1}}",
                "~monitor",
                "+monitor=again",
            ),
        ),
    ],
)
def test_it_is_the_config_that_hydra_composes(name, overrides):
    with initialize_config_dir(str(running.CONFIGS), version_base="1.3"):
        expected = compose(name, list(overrides))
    assert running.composed(name, *overrides) == expected
    assert running.composed(name) != expected


@pytest.mark.parametrize("override", ["model.nowhere=1", "~model.nowhere", "+trainer.max_epochs=3", "~seed=7"])
def test_what_hydra_refuses_is_hydras_error(override):
    with pytest.raises(ConfigCompositionException, match=override.strip("~+").partition("=")[0]):
        running.composed("train", override)
