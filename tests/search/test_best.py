"""best.yaml composes to what the best trial's own overrides compose to."""

import os
import shlex

import optuna
import pytest
from omegaconf import OmegaConf

from src.search.best import write_best
from tests import running

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
GROUPS = {path.name for path in running.CONFIGS.iterdir() if path.is_dir()}


def study_of(fixed, trials):
    study = optuna.create_study(study_name="s")
    for key, value in (("fixed", fixed), ("command", "python src/train.py -m x"), ("monitor", "val/nmae")):
        study.set_user_attr(key, value)
    for params, value in trials:
        spaces = {key: optuna.distributions.CategoricalDistribution([one]) for key, one in params.items()}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=spaces, value=value))
    return study


def composed(*words):
    return OmegaConf.to_container(running.composed("train", "paths.output_dir=.", *words), resolve=True)


@pytest.mark.parametrize(
    "words",
    [
        ["experiment=trivial_vit_micro_small", "model.optimizer.lr=0.02", "heads=ordinal", "dataset.size=64"],
        ["model=cnn_tiny", "model.network.channels=[8,16,16]", "model.network.dropout=0.1", "trainer.max_epochs=7"],
        ["wrapper=[sam,lookahead]", "~logger", "+model.heads.note_velocity={weight: 2, loss: 'l2'}", "seed=null"],
        ["+callbacks=[ema,trace]", "seed=3"],
        ["experiment=moog_basic", "model=vit_38k", "model.balance=gradient", "optimizer=sgd", "data.verify=true"],
    ],
)
def test_it_trains_as_the_best_trial_did(words, tmp_path):
    best = dict([word.split("=") for word in words if word[0] not in "~+"][1:])
    fixed = {word: word for word in words if word.split("=")[0] not in best}
    other = dict.fromkeys(best, "other")
    write_best(tmp_path, study_of(fixed, [(other, 0.5), (best, 0.25), (other, 0.75)]), GROUPS)
    relative = os.path.relpath(tmp_path / "best", running.CONFIGS / "experiment")
    assert composed(f"experiment='{relative}'") == composed(*words)


def test_its_header_says_where_it_comes_from_and_what_a_file_cannot_say(tmp_path):
    fixed = {"~callbacks.early_stopping": "~callbacks.early_stopping"}
    write_best(tmp_path, study_of(fixed, [({"seed": 1}, 0.5), ({"seed": 2}, 0.125)]), GROUPS)
    first, *header = (tmp_path / "best.yaml").read_text().splitlines()[:4]
    assert first == "# @package _global_"
    assert header[0] == "# Trial 1, the best of study s so far: val/nmae 0.125."
    path = shlex.quote(str(tmp_path / "best.yaml"))
    assert header[1] == f"# python src/train.py experiment={path} '~callbacks.early_stopping'"
    assert header[2] == "# Found by: python src/train.py -m x"


def test_there_is_none_before_a_trial_has_finished(tmp_path):
    write_best(tmp_path, study_of({}, []), GROUPS)
    assert not list(tmp_path.iterdir())
