"""What any page of samples has: its body, a row of checks, and a finder that a script fills, as HTML."""

from collections.abc import Sequence

from src.evaluation.reports.check import Check
from src.evaluation.reports.page import section, text

_FINDER = """<form id="filter" class="controls">
<label>quantity <select name="quantity"></select></label>
<label>from <input name="low" type="number" step="any"></label>
<label>to <input name="high" type="number" step="any"></label>
<label>sort by <select name="order"></select></label>
<label>order <select name="direction"><option value="down">largest first</option>
<option value="up">smallest first</option></select></label>
<button type="reset">Show all</button>
</form>
<p><output id="count"></output>, shown: <span id="shown"></span>
<span class="controls"><button type="button" id="earlier">Earlier</button>
<button type="button" id="later">Later</button></span></p>
<div id="found" class="found"></div>"""

_TRANSPORT = """<div id="transport" class="controls" hidden><button type="button" id="play">Play</button>{choice}
<label class="repeat"><input id="repeat" type="checkbox" checked> repeat</label>
<output id="position">0.00 s</output></div>
<div id="pictures" class="figures wide"></div>"""


def body(title: str, intro: Sequence[str], sections: Sequence[str]) -> str:
    """Return the body of a page: `intro` are the sentences below its title."""
    header = f"<header><h1>{text(title)}</h1>{sentences(intro)}</header>"
    skip = '<a class="skip" href="#main">Skip to the results</a>'
    status = '<div class="status"><p id="status" role="status"></p></div>'
    return "\n".join([skip, header, '<main id="main">', *sections, "</main>", status])


def checks_section(checks: Sequence[Check]) -> str:
    """Return the section with a row of checks."""
    states = "".join(_check(check) for check in checks)
    return section("checks", "Checks", f'<ul class="checks">{states}</ul>')


def finder_section(samples: str, *above: str) -> str:
    """Return the section that finds samples; `above` is HTML above the form."""
    return section("find", f"Find {samples}", *above, _FINDER)


def sample_figures(choice: str = "") -> str:
    """Return the transport of the selected sample's sounds, and below it the place of its pictures.

    `choice` is HTML that chooses the sound that is heard.
    """
    return _TRANSPORT.format(choice=choice)


def sentences(given: Sequence[str]) -> str:
    """Return sentences as paragraphs."""
    return "".join(f"<p>{text(sentence)}</p>" for sentence in given)


def _check(check: Check) -> str:
    state = {"unknown": "not measured"}.get(check.state, check.state)
    name = f'<b>{text(check.name)}: <span class="state">{state}</span></b>'
    return f'<li class="{check.state}">{name} {text(check.why)}</li>'
