"""Reads the list of a user's classes: text, JSON or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prolab_model.dataset_config import Colour
from tasks.errors import InputError

FORMATS = (
    "a .txt with a name a line, in the order of the numbers from 0 on; a .json of names, or of name -> number or "
    "[red, green, blue]; a .csv with a header and the columns name and value, or name, red, green, blue"
)

_COLUMNS = {
    "name": ("name", "class", "class_name"),
    "value": ("value", "id", "label", "index"),
    "red": ("red", "r"),
    "green": ("green", "g"),
    "blue": ("blue", "b"),
}


@dataclass(frozen=True)
class Entry:
    """One line of a class list; several may have the same name, which makes them one class."""

    name: str
    number: int | None = None
    colour: Colour | None = None


def read_class_list(path: Path) -> tuple[Entry, ...]:
    """Read a class list.

    Raises:
        InputError: naming the file and the line or entry that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    readers = {".txt": _read_text, ".json": _read_json, ".csv": _read_csv}
    if path.suffix not in readers:
        raise InputError(f"{path}: expected {FORMATS}")
    try:
        entries = tuple(readers[path.suffix](text))
    except ValueError as error:
        raise InputError(f"{path}: {error}; expected {FORMATS}") from error
    _check(path, entries)
    return entries


def _read_text(text: str) -> Iterator[Entry]:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if "" in lines:
        raise ValueError(f"line {lines.index('') + 1} is empty")
    return (Entry(name) for name in lines)


def _read_json(text: str) -> Iterator[Entry]:
    content = json.loads(text)
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        yield from map(Entry, content)
    elif isinstance(content, dict):
        for name, value in content.items():
            yield _entry(name, value)
    else:
        raise ValueError("neither a list of names nor an object")


def _entry(name: str, value: Any) -> Entry:
    if isinstance(value, int) and not isinstance(value, bool):
        return Entry(name, number=value)
    if isinstance(value, list) and len(value) == 3 and all(isinstance(part, int) for part in value):
        return Entry(name, colour=(value[0], value[1], value[2]))
    raise ValueError(f"{name}: neither a number nor a colour: {value!r}")


def _read_csv(text: str) -> Iterator[Entry]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    header = {column.strip().lower(): column for column in reader.fieldnames or ()}
    columns = {key: header[name] for key, names in _COLUMNS.items() for name in names if name in header}
    if "name" not in columns:
        raise ValueError(f"no column name; there are {', '.join(header) or 'none'}")
    coloured = {"red", "green", "blue"} <= columns.keys()
    for row in reader:
        try:
            number = int(row[columns["value"]]) if "value" in columns else None
            red, green, blue = (int(row[columns[part]]) if coloured else 0 for part in ("red", "green", "blue"))
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {reader.line_num}: {error}") from error
        yield Entry(row[columns["name"]].strip(), number, (red, green, blue) if coloured else None)


def _check(path: Path, entries: tuple[Entry, ...]) -> None:
    if not entries:
        raise InputError(f"{path}: there is no class in it; expected {FORMATS}")
    for entry in entries:
        if not entry.name:
            raise InputError(f"{path}: a class has no name")
        if entry.number is not None and entry.number < 0:
            raise InputError(f"{path}: {entry.name}: expected a number of 0 or more, got {entry.number}")
        if entry.colour is not None and not all(0 <= part <= 255 for part in entry.colour):
            raise InputError(f"{path}: {entry.name}: expected red, green and blue from 0 to 255, got {entry.colour}")
    for part in ("number", "colour"):
        given = [getattr(entry, part) for entry in entries if getattr(entry, part) is not None]
        if repeated := sorted({value for value in given if given.count(value) > 1}):
            raise InputError(f"{path}: the {part} {repeated[0]} stands for more than one class")
