"""Tables, lists and code for the reports of stages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_BACKTICKS = re.compile("`+")
_CODE_OR_TAG = re.compile("(?P<code>(`+)[^`]+\\2)|<")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A markdown table; cells are written with `str`, and what would break the table is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def items(rows: Iterable[tuple[str, str]]) -> str:
    """A list of names and what there is to say of each; the dashboard wraps long texts, which it does not in tables."""
    return "\n".join(f"- **{_cell(name)}**: {_cell(text)}" for name, text in rows) + "\n"


def code(text: str) -> str:
    """Text as it stands, in which nothing is markup."""
    fence = "`" * (max(map(len, _BACKTICKS.findall(text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{space}{text}{space}{fence}"


def without_tags(text: str) -> str:
    """The text, in which `<name>` outside of code is no tag, which the dashboard would leave out."""
    return _CODE_OR_TAG.sub(lambda match: match["code"] or "\\<", text)


def _cell(value: object) -> str:
    return without_tags(str(value)).replace("|", "\\|").replace("\n", " ")
