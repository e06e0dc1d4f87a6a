"""A key that `+` adds is read by the command, or one line says that it is not."""

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from src.cli.unread import refuse_unread, warn_of_unused
from src.utils.errors import UserError

ENTRIES = ("train", "eval", "predict", "report", "generate")


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("word", ["+foo=1", "++foo.bar=1", "+paths.x=1", "+extras.thread=2", "+hydra.foo=1"])
def test_what_nothing_reads_is_refused(entry, word):
    with pytest.raises(UserError, match=r"^[\w.]+: added with \+, but (this command|Hydra) does not read it"):
        refuse_unread(["seed=1", word], entry)


@pytest.mark.parametrize(
    ("entry", "word", "line"),
    [
        (
            "eval",
            "+data.batch_size=3",
            "data.batch_size: added with +, but .* Known: data.data_dir.",
        ),
        ("eval", "+data_dir=x", "data_dir: added with .* Did you mean 'data.data_dir'?"),
        ("eval", "+model.x=1", "model.x: this command has no group model (--help lists its groups)"),
        ("predict", "+trainer=gpu", "trainer: this command has no group trainer (--help lists"),
        ("predict", "+trainer.max_epochs=3", "trainer.max_epochs: this command has no group trainer"),
        ("predict", "+chanel=mix", "chanel: added with +, but this command does not read it. Did you mean 'channel'?"),
        ("generate", "+generate.worker=1", "generate.worker: .* Did you mean 'generate.workers'?"),
        ("generate", "+data.data_dir=x", "data.data_dir: this command has no group data"),
        ("train", "+preflight.blind=true", "preflight.blind: .* Did you mean 'preflight.allow_blind'?"),
        ("config", "+foo=1", "foo: added with +"),
    ],
)
def test_what_was_probably_meant_is_told(entry, word, line):
    with pytest.raises(UserError) as raised:
        refuse_unread([word], entry)
    start, _, end = line.partition(".* ")
    assert str(raised.value).startswith(start) and end in str(raised.value)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("train", ["+trainer.gradient_clip_val=1", "+model.lr_multipliers={heads.*: 1}", "+callbacks=ema", "++seed=3"]),
        ("train", ["+callbacks.mine._target_=a.B", "+logger=csv", "+experiment=example", "+data.workers=2"]),
        ("train", ["+synth.parameters.x.max=1", "+spectral.height=4", "+hydra.job.env_set.A=1", "+hydra.run.dir=x"]),
        ("config", ["+hydra=default", "++resume=x", "+trainer.max_steps=3"]),
        ("eval", ["+data.data_dir=x", "+callbacks=device_stats", "+logger=csv", "+trainer.precision=bf16-mixed"]),
        ("predict", ["++input=x", "+data.data_dir=x", "+extras.num_threads=1", "+hydra.launcher.n_jobs=2"]),
        ("generate", ["+synth.x=1", "+dataset.seed=1", "++generate.workers=1", "++overwrite=true"]),
    ],
)
def test_what_is_read_or_checked_by_what_is_built_from_it_passes(entry, words):
    refuse_unread(words, entry)


def test_words_that_change_nothing_are_warned_of(monkeypatch, caplog):
    given = {"hydra": [], "task": ["synth=moog_basic", "dataset.name='a b'", "seed=1", "data.data_dir=${x}"]}
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: OmegaConf.create({"overrides": given}))
    warn_of_unused(("synth", "spectral", "dataset"), "data.data_dir=d is the data")
    (record,) = caplog.records
    assert record.getMessage().startswith("data.data_dir=d is the data, so this has no effect: synth=moog_basic ")
    assert "seed" not in record.getMessage()
    caplog.clear()
    warn_of_unused(("spectral",), "x")
    assert not caplog.records
