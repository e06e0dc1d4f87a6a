"""One HTML page that holds everything it needs: its styles, its scripts and its data. It makes no request.

The scripts read the data as `data`; arrays arrive as typed arrays. What a file or a dataset names is only ever text:
`text` escapes it in HTML, and scripts set it as `textContent`.
"""

import base64
import html
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from src.utils.table import Column, Rows, plain

_WEB = Path(__file__).parent / "web"
_ARRAYS = {"f4": "Float32Array", "u1": "Uint8Array"}  # NumPy's types and those of a page

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
{body}
<script type="application/json" id="data">{data}</script>
<script>
{script}
</script>
</body>
</html>
"""  # noqa: E501 (the policy is one attribute)


def make_page(
    title: str, body: str, data: Mapping[str, Any], styles: Sequence[str] = (), scripts: Sequence[str] = ()
) -> str:
    """Return a page: `body` is HTML, `data` what the scripts read; `styles` and `scripts` name files of web/."""
    return _PAGE.format(
        title=text(title),
        style="\n".join(map(_web_file, styles)),
        body=body,
        data=to_script(data),
        script="\n".join(map(_web_file, scripts)),
    )


@cache
def _web_file(name: str) -> str:
    content = (_WEB / name).read_text()
    return re.sub("^export ", "", content, flags=re.MULTILINE)  # the app imports some scripts; here all are one


def to_script(data: Mapping[str, Any]) -> str:
    """Return data as JSON that cannot end the element that holds it, since it has no `<`; NaN becomes null."""
    return json.dumps(without_nan(data), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def without_nan(value: Any) -> Any:
    """Return plain data with None for each number that is not finite, which JSON lacks."""
    if isinstance(value, Mapping):
        return {key: without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def packed(array: np.ndarray) -> dict[str, str]:
    """Return an array of float32 or uint8, in C order, as data of a page."""
    kind = array.dtype.newbyteorder("<").str[1:]
    content = np.ascontiguousarray(array, f"<{kind}")
    return {"type": _ARRAYS[kind], "base64": base64.b64encode(content.tobytes()).decode()}


def data_url(kind: str, content: bytes) -> str:
    """Return a file of a MIME type as a URL that contains it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def text(value: object) -> str:
    """Return text for HTML, escaped, so that no name of a file, unit or parameter is read as markup."""
    return html.escape(plain(value))


def table(columns: Sequence[Column], rows: Rows, label: str) -> str:
    """Return a table as HTML that scrolls within itself where the screen is narrow; `label` says what it holds."""
    kinds = [' class="text"' if column.text else "" for column in columns]
    headings = zip(kinds, columns, strict=True)
    head = "".join(f'<th scope="col"{kind}>{text(column.heading)}</th>' for kind, column in headings)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td{kind}>{text(cell)}</td>" for kind, cell in zip(kinds[1:], rest, strict=True))
        lines.append(f'<tr><th scope="row">{text(first)}</th>{cells}</tr>')
    inner = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="scroll" role="group" tabindex="0" aria-label="Table: {text(label)}">{inner}</div>'


def section(name: str, title: str, *parts: str) -> str:
    """Return a section of a page; `name` is its address in the page, and `parts` are HTML."""
    inner = "\n".join(parts)
    heading = f'<h2 id="{name}-title">{text(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">{heading}\n{inner}\n</section>'
