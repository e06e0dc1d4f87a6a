"""The sections of a report's page as HTML, in the order in which one reads them."""

from collections.abc import Sequence
from dataclasses import replace

from src.evaluation.reports.check import Check
from src.evaluation.reports.heads import CAPTION, HeadFigures, head_table
from src.evaluation.reports.page import section, table, text
from src.evaluation.reports.parts import checks_section, finder_section, sample_figures, sentences
from src.utils.table import Column, Rows

_SAMPLE = """<div class="controls"><label>number <input id="sample-row" type="number" min="0" max="{last}"></label>
<span id="examples" class="controls"></span></div>
<p id="sample-note" class="soft"></p>
{figures}
<p class="soft">{key}</p>
<div id="bars"></div>"""

_EXPLANATION = """<h3>What the prediction depends on</h3>
<p id="not-explained" class="soft"></p>
<div id="explained" hidden>
<div class="controls"><label>parameter <select id="explained-head"></select></label></div>
<p id="explained-band"></p>
<div id="explained-maps" class="figures wide"></div>
<p class="soft">Integrated gradients: red pixels raise the value, blue pixels lower it.<span id="cam-key">
Grad-CAM++: the brighter a region, the more the last feature maps raise the value there.</span></p>
</div>"""

_KEY = """<span class="key true"></span>true<span class="key predicted"></span>predicted
<span class="key refined"></span>refined; the grey bar is the 90 % interval."""

_HEADS_KEY = """<p class="soft">Error by true value: predicted minus true; the line is its mean. Reliability: the share
of true values inside intervals of each stated probability; above the dashed line, the intervals are wider than they
need be, below it, they are too narrow. Probability integral transform: how much of the predicted distribution lies
below the true value; if the distributions are right, most bars end between the dashed lines. A hump in the middle means
distributions that are too wide, and high ends mean too narrow ones.</p>"""

_HEAD = """<h3>{name}</h3>
<p class="soft">{summary}</p>
<div id="head-{at}" class="figures"></div>"""


def result_sections(
    checks: Sequence[Check], rows: Sequence[HeadFigures], count: int, samples: str, notes: Sequence[str]
) -> list[str]:
    """Return the sections about predictions; `notes` are sentences below the table of errors."""
    errors = table(*head_table(rows), "Errors of each parameter")
    found = [
        checks_section(checks),
        section("errors", "Errors", errors, f'<p class="soft">{text(CAPTION)}</p>', sentences(notes)),
        finder_section(samples),
        sample_section(count - 1, _KEY, _EXPLANATION),
        section("heads", "Each parameter", _HEADS_KEY, *(_head(at, row) for at, row in enumerate(rows))),
    ]
    if len(rows) > 1:
        figure = '<div id="correlations" class="figures wide"></div>'
        found.append(section("together", "Errors of two parameters together", figure))
    return found


def sample_section(last: int, key: str, *below: str) -> str:
    """Return the section of the selected sample; `last` is the largest number of a sample, `key` HTML below it."""
    inner = _SAMPLE.format(last=last, key=key, figures=sample_figures('<fieldset id="heard"></fieldset>'))
    return section("sample", "Selected sample", inner, *below)


def curves_section() -> str:
    """Return the section of learning curves."""
    return section("learning", "Learning curves", '<div id="curves" class="figures wide"></div>')


def facts_section(title: str, columns: Sequence[Column], rows: Rows) -> str:
    """Return a section that holds one table."""
    return section(title.lower(), title, table(columns, rows, title))


def neighbours_note(tested: int, known: int, samples: str) -> str:
    """Return what the nearest neighbours are, of which so many test and training samples were compared."""
    return (
        "Nearest neighbour: the error of the labels of the training image that is most like the test image, for "
        f"{tested:,} test and {known:,} training {samples}."
    )


def network_section(drawing: str, caption: str, columns: Sequence[Column], rows: Rows) -> str:
    """Return the section of the network: its drawing, an SVG element, and the table of its layers, closed."""
    picture = f'<div class="scroll" role="group" tabindex="0" aria-label="Drawing of the network">{drawing}</div>'
    layers = f"<details><summary>Layers</summary>{table(columns, rows, 'Layers')}</details>"
    return section("network", "Network", picture, f'<p class="soft">{text(caption)}</p>', layers)


def _head(at: int, row: HeadFigures) -> str:
    columns, cells = head_table([replace(row, unit="")])
    named = [f"{column.heading} {cell}" for column, cell in zip(columns, cells[0], strict=True) if cell]
    name = f"{row.name} [{row.unit}]" if row.unit else row.name
    return _HEAD.format(at=at, name=text(name), summary=text("; ".join(named[1:])))
