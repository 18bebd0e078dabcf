"""Pages that stages write to look at: one look for all, each in a single file that opens from disk."""

from __future__ import annotations

import base64
import html
import json
import math
from typing import Any

import jinja2


def page_environment(package: str) -> jinja2.Environment:
    """Templates of a stage's package, which can extend `page.html`, and include the stage's `report.css` and `.js`."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("tasks")]),
        # Names of classes and files are what users wrote.
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _cell, "pretty": _pretty, "percent": _percent, "points": _points}
    return environment


def data_uri(subtype: str, content: bytes) -> str:
    """An image inside the page; `subtype` is png or jpeg."""
    return f"data:image/{subtype};base64,{base64.b64encode(content).decode('ascii')}"


def _cell(text: str) -> str:
    """Text that stays within its cell of a markdown table."""
    return html.escape(text, quote=False).replace("|", "\\|").replace("\n", " ")


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _percent(share: float, digits: int = 1) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.{digits}f}"


def _points(difference: float, digits: int = 1) -> str:
    """A difference of shares in percentage points, with its sign; none where it is rounded to nothing."""
    if math.isnan(difference):
        return "–"
    rounded = round(100 * difference, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"
