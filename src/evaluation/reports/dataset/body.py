"""The sections of a dataset's page that its scripts fill."""

from collections.abc import Sequence

from src.evaluation.reports.page import section, text
from src.evaluation.reports.parts import sample_figures

_SAMPLE = """<div class="controls"><label>name <input id="sample-name" type="text" size="14"></label>
<button type="button" id="before">Previous</button><button type="button" id="after">Next</button>
<label>complete samples <select id="examples"><option value="">choose</option>{options}</select></label></div>
<p id="sample-note" class="soft"></p>
{figures}
<div id="bars"></div>"""


def sample_section(whole: Sequence[tuple[int, str]]) -> str:
    """Return the section of the selected sample; `whole` are the rows and the names of complete samples."""
    options = "".join(f'<option value="{row}">{text(name)}</option>' for row, name in whole)
    return section("sample", "Selected sample", _SAMPLE.format(options=options, figures=sample_figures()))


def histogram_section() -> str:
    """Return the section of histograms."""
    what = "A click on a bar, or the arrow keys, keep the samples in it."
    return section(
        "histograms", "Distributions", f'<p class="soft">{what}</p>', '<div id="distributions" class="figures"></div>'
    )


def correlation_section() -> str:
    """Return the section of correlations."""
    what = "A click on a cell, or the arrow keys, choose the two parameters whose samples are shown beside it."
    figures = '<div id="pairs" class="figures wide"></div>'
    return section("correlations", "Correlations", f'<p class="soft">{what}</p>', figures)
