"""The results of a sweep: a table of its trials, and a report in one self-contained HTML file."""

import html
import logging
import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from optuna.distributions import CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import plot_optimization_history, plot_parallel_coordinate

from src.run import multirun_table
from src.run.table import Run, number, read_run
from src.search.study import CAUSE, COMMAND, MONITOR, WANTED, counts
from src.utils.files import shown_path, write_atomic
from src.utils.locks import locked
from src.utils.table import plain

log = logging.getLogger(__name__)

_BINS = 4  # of a numeric parameter, with equally many trials each; with more bins each would have too few
_FEWEST = 8  # finished trials: with fewer, the importance of a parameter is mostly chance
_STATES = {TrialState.COMPLETE: "finished", TrialState.FAIL: "failed"}

_PAGE = """<!doctype html>
<meta charset="utf-8"><title>{name}</title>
<style>
body {{ font: 15px/1.5 sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }}
th, td {{ padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap }}
code {{ background: #f4f4f4; padding: .1rem .3rem }} .best {{ background: #e8f4e8 }}
</style>
<h1>Study {name}</h1>
<p>{summary}</p>
<p>Searched by <code>{command}</code></p>
{figures}
<h2>Trials</h2>
{table}
"""


def show(study: Study, directory: Path) -> None:
    """Write a study's report.html and tables to `directory`, and print the table of its trials, the best first."""
    directory = Path(directory)
    rows = sorted(study.get_trials(), key=_rank)
    names = list(dict.fromkeys(name for trial in study.get_trials(deepcopy=False) for name in trial.params))
    path = directory / "report.html"
    with locked(directory / "asking"):  # several searches may end at the same time
        runs = [_run(study, trial, directory / str(trial.number)) for trial in rows]
        write_atomic(path, _page(study, runs, names).encode())
        multirun_table.show(runs, directory, f"study {study.study_name}", _summary(study))
    log.info("report: %s", shown_path(path))
    command = _best_command(directory / "best.yaml")
    if command:
        log.info("to train the best trial again: %s", command)


def _best_command(path: Path) -> str:
    """Return the command in best.yaml, quoted again, since the file may be somebody else's; empty if it has none."""
    lines = path.read_text(errors="replace").splitlines()[2:3] if path.is_file() else []
    try:
        return shlex.join(shlex.split(lines[0].removeprefix("# "))) if lines else ""
    except ValueError:  # quotes that do not close
        return ""


def _attribute(study: Study, key: str, default: str = "") -> str:
    return plain(study.user_attrs.get(key, default))


def _run(study: Study, trial: FrozenTrial, directory: Path) -> Run:
    """Return a trial as a row of the table; its directory may be on another machine."""
    run = read_run(directory) if directory.is_dir() else Run(directory, "")
    return replace(
        run,
        state=_state(trial),
        cause=str(trial.user_attrs.get(CAUSE, "")) if counts(trial) else "",
        metric=_attribute(study, MONITOR),
        best=trial.value,
        seconds=trial.duration.total_seconds() if trial.duration else None,
        overrides={name: str(value) for name, value in trial.params.items()},
    )


def _page(study: Study, runs: list[Run], names: list[str]) -> str:
    finished = study.get_trials(states=(TrialState.COMPLETE,))
    metric = _attribute(study, MONITOR, "value")
    figures = []
    if finished:
        history = plot_optimization_history(study, target_name=metric).update_layout(title=None)
        figures.append(("Optimization history", history.update_xaxes(title="trial", tickformat="d")))
    fractions = importance(finished)
    if fractions:
        bars = go.Figure(go.Bar(x=[*fractions.values()][::-1], y=[*fractions][::-1], orientation="h"))
        bars.update_layout(xaxis_title="fraction of the variance that the parameter alone explains", xaxis_range=[0, 1])
        figures.append(("Parameter importance", bars))
    shared = sorted(set.intersection(*(set(trial.params) for trial in finished))) if len(finished) > 1 else []
    if shared:  # a parameter that only some trials have would leave gaps in the lines
        lines = plot_parallel_coordinate(study, shared, target_name=metric).update_layout(title=None)
        for axis, name in zip(lines.data[0].dimensions[1:], shared, strict=True):
            axis.label = name.split(".")[-1]  # full names do not fit
        figures.append(("Parallel coordinates", lines))
    parts = []
    for at, (title, figure) in enumerate(figures):
        figure.update_layout(template="plotly_white", height=420)
        drawn = figure.to_html(full_html=False, include_plotlyjs=at == 0, config={"displaylogo": False})
        parts.append(f"<h2>{title}</h2>{drawn}")
    short_names = [".".join(name.lstrip("+").split(".")[-2:]) for name in names]
    headings = ["trial", "value", "state", *short_names, "seconds", "cause"]
    rows = [f"<tr>{_cells('th', headings)}"]
    for run in runs:
        params = [multirun_table.rounded(run.overrides.get(name, "")) for name in names]
        seconds = "" if run.seconds is None else f"{run.seconds:.0f}"
        start = "<tr class=best>" if finished and run is runs[0] else "<tr>"
        rows.append(
            start + _cells("td", [run.directory.name, number(run.best), run.state, *params, seconds, run.cause])
        )
    return _PAGE.format(
        name=html.escape(plain(study.study_name)),
        summary=html.escape(_summary(study)),
        command=html.escape(_attribute(study, COMMAND)),
        figures="".join(parts) or "<p>No trial has finished yet.</p>",
        table=f"<table>{''.join(rows)}</table>",
    )


def importance(trials: list[FrozenTrial]) -> dict[str, float]:
    """Return the fraction of the variance of the values' ranks that each parameter alone explains, largest first.

    It is the effect size of a one-way analysis of variance, adjusted for chance (epsilon squared; Kelley, PNAS 1935),
    from 0 to 1; interactions of parameters are not included. Empty for too few trials.
    """
    if len(trials) < _FEWEST:
        return {}
    ranks = _ranks([float(trial.value) for trial in trials if trial.value is not None])
    total = ((ranks - ranks.mean()) ** 2).sum()
    fractions = {}
    for name, distribution in trials[0].distributions.items():
        if any(name not in trial.params for trial in trials):
            continue
        values = [trial.params[name] for trial in trials]
        cells = np.unique(values, return_inverse=True)[1]
        if not isinstance(distribution, CategoricalDistribution) and cells.max() >= _BINS:
            cells = (_ranks(values) * _BINS / len(values)).astype(int)
        groups = [ranks[cells == cell] for cell in np.unique(cells)]
        within = sum(((group - group.mean()) ** 2).sum() for group in groups)
        freedom = len(ranks) - len(groups)
        adjusted = 1 - within / total * (len(ranks) - 1) / freedom if freedom and total else 0.0
        fractions[name] = max(0.0, float(adjusted))
    return dict(sorted(fractions.items(), key=lambda pair: -pair[1]))


def _ranks(values: Iterable[float]) -> np.ndarray:
    return np.argsort(np.argsort(np.asarray(values, dtype=float), kind="stable"), kind="stable")


def _rank(trial: FrozenTrial) -> tuple[int, float]:
    """Sort trials: finished trials, best first, then pruned trials, then the others."""
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL]
    return states.index(trial.state), trial.number if trial.value is None else trial.value


def _state(trial: FrozenTrial) -> str:
    if not counts(trial):
        return "killed"
    return _STATES.get(trial.state, trial.state.name.lower())


def _cells(tag: str, texts: Iterable[str]) -> str:
    return "".join(f"<{tag}>{html.escape(plain(text))}" for text in texts)


def _summary(study: Study) -> str:
    trials = study.get_trials(deepcopy=False)
    killed = sum(not counts(trial) for trial in trials)
    words = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.RUNNING: "running"}
    found = {word: sum(trial.state == state for trial in trials) for state, word in words.items()}
    found |= {"failed": sum(trial.state == TrialState.FAIL for trial in trials) - killed, "killed": killed}
    counted = ", ".join(f"{count} {word}" for word, count in found.items() if count) or "none"
    wanted, metric = _attribute(study, WANTED, "?"), _attribute(study, MONITOR, "metric")
    return f"{counted}, of {wanted} trials; each trial's value is its best {metric}"
