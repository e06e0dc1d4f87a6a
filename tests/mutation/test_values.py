"""Values of any kind for any key of a config: a command runs, or it ends with one line and status 1."""

import random

import pytest
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tests import running

COUNT = 300
VALUES = (
    *("null", "-1", "0", "3", "0.5", "1e30", "1000000000000", "nan", "true"),
    *("abc", "''", "[]", "[1,2]", "{}", "{a: 1}"),
)
AS_TEXT = ("ckpt_path", "input", "paths", "data.data_dir")  # words of a command line, which are text for these keys
LONG = ("epochs", "steps", "patience", "size", "max_time")  # keys with which a run takes as long as they say
WITHOUT_END = ("null", "-1", "1e30", "1000000000000")
OTHER_PROCESSES = ("trainer.devices", "3")  # would start this test again in each of them


def keys_of(config, prefix=""):
    """Yield the dotted key of everything in a config that is no choice of files."""
    for name in config:
        key = f"{prefix}{name}"
        is_group = OmegaConf.is_dict(config) and isinstance(value_of(config, name), DictConfig)
        if not (running.CONFIGS / key).is_dir() and not key.startswith(AS_TEXT):
            yield key
        if is_group:
            yield from keys_of(config[name], f"{key}.")


def value_of(config, name):
    return None if OmegaConf.is_missing(config, name) or OmegaConf.is_interpolation(config, name) else config[name]


@pytest.mark.slow
@pytest.mark.parametrize("entry", ["train", "eval", "predict"])
def test_any_value_of_any_key_is_used_or_refused_in_one_line(
    entry, data_root, saw, trained, tmp_path, caplog, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # a value may be a relative path
    words = {
        "train": ("trainer.limit_train_batches=2", "extras.num_threads=1"),
        "eval": (f"ckpt_path={trained.best}", "trainer=cpu", "extras.num_threads=1"),
        "predict": (f"ckpt_path={trained.best}", f"input={saw}", "extras.num_threads=1"),
    }[entry]
    keys = sorted(keys_of(running.composed(entry)))
    draw = random.Random(0)
    outcomes = set()
    for at in range(COUNT):
        key, value = draw.choice(keys), draw.choice(VALUES)
        if (value in WITHOUT_END and key.endswith(LONG)) or (key, value) == OTHER_PROCESSES:
            continue
        caplog.clear()
        try:
            running.run(entry, data_root, tmp_path / str(at), *words, f"{key}={value}")
            outcomes.add("used")
        except SystemExit as exited:
            told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
            assert exited.code == 1 and len(told) == 1 and "\n" not in told[0], (key, value, told)
            outcomes.add("refused")
        except (HydraException, OmegaConfBaseException):
            outcomes.add("explained")  # by src.cli.entry.run, which is not called here
        except Exception as error:
            raise AssertionError(f"{key}={value}") from error
    assert {"used", "refused"} <= outcomes
