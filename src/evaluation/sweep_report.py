"""What a sweep has found: a table, and one HTML file that needs nothing else."""

import html
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from optuna.distributions import CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from optuna.visualization import plot_optimization_history, plot_parallel_coordinate
from rich.console import Console
from rich.table import Table

from src.utils.files import write_whole
from src.utils.locks import locked
from src.utils.sweep_study import CAUSE, COMMAND, MONITOR, WANTED, counts

log = logging.getLogger(__name__)

_BINS = 4  # of a number's values, each with as many trials: a few trials tell no more
_FEWEST = 8  # finished trials from which a parameter's share of the variance is worth a look

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
    """Print a study's trials and write its report.html below `directory`."""
    rows, names = sorted(study.get_trials(), key=_rank), _names(study)
    table = Table(*_headings(names), title=f"study {study.study_name}", caption=_summary(study))
    for trial in rows:
        table.add_row(*_cells(trial, names))
    console = Console()
    Console(width=None if console.is_terminal else 10_000).print(table)  # a pipe or file has no width to fit into
    path = Path(directory) / "report.html"
    with locked(path.with_name("asking")):  # several searches may end at once
        write_whole(path, _page(study, rows, names).encode())
    log.info("report: %s", path)
    if (best := path.with_name("best.yaml")).exists():
        log.info("the best trial again: %s", best.read_text().splitlines()[2].removeprefix("# "))


def _page(study: Study, rows: list[FrozenTrial], names: list[str]) -> str:
    finished = _finished(study)
    metric = study.user_attrs.get(MONITOR, "value")
    figures = []
    if finished:
        history = plot_optimization_history(study, target_name=metric).update_layout(title=None)
        figures.append(("How it went", history.update_xaxes(title="trial", tickformat="d")))
    if shares := importance(finished):
        bars = go.Figure(go.Bar(x=[*shares.values()][::-1], y=[*shares][::-1], orientation="h"))
        bars.update_layout(xaxis_title="share of the variance that the parameter alone explains", xaxis_range=[0, 1])
        figures.append(("What matters", bars))
    shared = sorted(set.intersection(*(set(trial.params) for trial in finished))) if len(finished) > 1 else []
    if shared:  # what only some were given leaves gaps in the lines of the others
        lines = plot_parallel_coordinate(study, shared, target_name=metric).update_layout(title=None)
        for axis, name in zip(lines.data[0].dimensions[1:], shared, strict=True):
            axis.label = name.split(".")[-1]  # whole names do not fit
        figures.append(("What goes with what", lines))
    parts = []
    for at, (title, figure) in enumerate(figures):
        figure.update_layout(template="plotly_white", height=420)
        drawn = figure.to_html(full_html=False, include_plotlyjs=at == 0, config={"displaylogo": False})
        parts.append(f"<h2>{title}</h2>{drawn}")
    body = "".join(_row(_cells(trial, names), trial is rows[0] and bool(finished)) for trial in rows)
    return _PAGE.format(
        name=html.escape(study.study_name),
        summary=html.escape(_summary(study)),
        command=html.escape(study.user_attrs.get(COMMAND, "")),
        figures="".join(parts) or "<p>No trial has finished yet.</p>",
        table=f"<table><tr>{''.join(f'<th>{html.escape(one)}' for one in _headings(names))}{body}</table>",
    )


def importance(trials: list[FrozenTrial]) -> dict[str, float]:
    """Return how much of the variance of the values' ranks each parameter alone explains, largest first.

    A one-way analysis of variance, its share adjusted for what chance explains (Kelley's epsilon squared, PNAS 1935):
    0 to 1, and what parameters do only together counts for neither. {} for too few trials.
    """
    if len(trials) < _FEWEST:
        return {}
    ranks = _ranks([trial.value for trial in trials])
    total = ((ranks - ranks.mean()) ** 2).sum()
    shares = {}
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
        shares[name] = max(0.0, float(adjusted))
    return dict(sorted(shares.items(), key=lambda pair: -pair[1]))


def _ranks(values: Iterable[float]) -> np.ndarray:
    return np.argsort(np.argsort(np.asarray(values, dtype=float), kind="stable"), kind="stable")


def _finished(study: Study) -> list[FrozenTrial]:
    return study.get_trials(states=(TrialState.COMPLETE,))


def _names(study: Study) -> list[str]:
    return list(dict.fromkeys(name for trial in study.get_trials(deepcopy=False) for name in trial.params))


def _rank(trial: FrozenTrial) -> tuple[int, float]:
    """Order trials: finished, best first, then pruned, then the others."""
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING, TrialState.FAIL]
    return states.index(trial.state), trial.number if trial.value is None else trial.value


def _headings(names: list[str]) -> list[str]:
    short = [".".join(name.lstrip("+").split(".")[-2:]) for name in names]
    return ["trial", "value", "state", *short, "seconds", ""]


def _cells(trial: FrozenTrial, names: list[str]) -> list[str]:
    state = trial.state.name.lower().replace("fail", "failed")
    if trial.state == TrialState.PRUNED:
        state += f" after {len(trial.intermediate_values)}"
    params = [_plain(trial.params.get(name)) for name in names]
    seconds = f"{trial.duration.total_seconds():.0f}" if trial.duration else ""
    cause = str(trial.user_attrs.get(CAUSE, ""))
    return [str(trial.number), _plain(trial.value), state, *params, seconds, cause]


def _plain(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(cells: list[str], best: bool) -> str:
    return f"<tr{' class=best' if best else ''}>" + "".join(f"<td>{html.escape(cell)}" for cell in cells)


def _summary(study: Study) -> str:
    trials, attributes = study.get_trials(deepcopy=False), study.user_attrs
    killed = sum(not counts(trial) for trial in trials)
    words = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned", TrialState.RUNNING: "running"}
    found = {word: sum(trial.state == state for trial in trials) for state, word in words.items()}
    found |= {"failed": sum(trial.state == TrialState.FAIL for trial in trials) - killed, "killed": killed}
    told = ", ".join(f"{count} {word}" for word, count in found.items() if count) or "none"
    wanted, metric = attributes.get(WANTED, "?"), attributes.get(MONITOR, "metric")
    return f"{told}, of {wanted} trials; each trial's value is its best {metric}"
