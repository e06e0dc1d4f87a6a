"""Tables of an audio comparison: on the screen those of the predictions, in a file those of the references too."""

from pathlib import Path

from src.evaluation.audio import EXACT, LIMIT, MEAN, ROUNDED, AudioResults, AudioRow, Summary
from src.evaluation.intervals import rounded, significant, written_interval
from src.evaluation.metrics.table import METRICS
from src.utils.files import write_atomic
from src.utils.table import Column, escape_markdown, markdown, show

JSON_FILE, MARKDOWN_FILE = "audio_results.json", "audio_results.md"

_FAD = "fad_logmel"
_MEANINGS = {
    EXACT: "rendered again, so the best that a metric can show",
    ROUNDED: "labels that are rounded to 255 levels",
    LIMIT: "parameters that fit the stored image best, sought from the truth",
    MEAN: "the training split's mean for every sound",
}
_DROPS = {EXACT: 2, ROUNDED: 1}  # columns that a narrow screen leaves out; all others are shown


def audio_title(results: AudioResults) -> str:
    """Return the title of a comparison, with the sample rate of its figures."""
    rate = f"{results.sample_rate:,} Hz"
    if results.sample_rate != results.rendered_rate:
        rate = f"{results.rendered_rate:,} Hz resampled to {rate}"
    return f"{results.dataset}: {results.num_clips:,} test sounds, {rate}"


def audio_table(results: AudioResults) -> tuple[list[Column], list[list[str]]]:
    """Return the means of all metrics, a row each, with a column for each candidate."""
    columns = [Column("metric", text=True), Column("unit", text=True, drop=3)]
    cells = [[name, metric.unit] for name, metric in METRICS.items()]
    for row in results.rows:
        columns.append(Column(row.name, drop=_DROPS.get(row.name, 0)))
        for line in cells:
            line.append(_mean(row.metrics[line[0]]))
    if any(row.fad_logmel is not None for row in results.rows):
        cells.append([_FAD, "dB^2", *(_distance(row) for row in results.rows)])
    return columns, cells


def row_table(row: AudioRow) -> tuple[list[Column], list[list[str]]]:
    """Return all figures of one candidate, a row for each metric."""
    columns = [Column("metric", text=True), Column("unit", text=True), Column("better", text=True, drop=1)]
    columns += [Column("mean"), Column("95 % interval"), Column("median"), Column("clips", drop=2)]
    cells = []
    for name, metric in METRICS.items():
        found = row.metrics[name]
        figures = [_mean(found), written_interval(found.mean, found.interval), rounded(found.median, found.interval)]
        cells.append([name, metric.unit, metric.better, *figures, str(found.clips)])
    if row.fad_logmel is not None:
        cells.append([_FAD, "dB^2", "lower", _distance(row), "", "", ""])
    return columns, cells


def audio_notes(results: AudioResults) -> list[str]:
    """Return what the columns mean, and what limits the figures."""
    notes = [f"{row.name}: {_MEANINGS[row.name]}" for row in results.rows if row.name in _MEANINGS]
    return [*notes, *results.notes]


def write_audio(results: AudioResults, directory: Path) -> None:
    """Write audio_results.json and audio_results.md, which hold all figures."""
    write_atomic(directory / JSON_FILE, results.to_json())
    parts = [f"# {escape_markdown(audio_title(results))}", "Means beside references:", markdown(*audio_table(results))]
    parts += ["\n".join(f"- {escape_markdown(note)}" for note in audio_notes(results))]
    for row in results.rows:
        parts += [f"## {escape_markdown(row.name)}", markdown(*row_table(row))]
    parts += ["## Metrics", "\n".join(f"- {name}: {metric.description}" for name, metric in METRICS.items())]
    write_atomic(directory / MARKDOWN_FILE, ("\n\n".join(parts) + "\n").encode())


def print_audio(results: AudioResults) -> None:
    """Print all figures of the predictions, then the means of all candidates."""
    line_above_distance = {len(METRICS)}
    title = audio_title(results)
    for row in results.rows:
        if row.name not in _MEANINGS:
            show(*row_table(row), f"{title}, {row.name}", all_in=MARKDOWN_FILE, sections=line_above_distance)
    notes = "\n".join(audio_notes(results))
    show(*audio_table(results), "Means beside references", notes, MARKDOWN_FILE, line_above_distance)


def _mean(found: Summary) -> str:
    return rounded(found.mean, found.interval)


def _distance(row: AudioRow) -> str:
    return "-" if row.fad_logmel is None else significant(row.fad_logmel, 3)
