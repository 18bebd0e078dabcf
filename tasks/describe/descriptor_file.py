"""Descriptions that someone has already: a JSON object of class name -> list of strings (spec section 1.4)."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tasks.describe.described import Described
from tasks.errors import InputError

_DESCRIPTORS = TypeAdapter(dict[str, list[str]])


def read_descriptors(path: Path, classes: Sequence[str]) -> list[Described]:
    """The descriptions of `classes`, word for word; further classes in the file are left alone.

    Raises:
        InputError: the file cannot be read, lacks a class, or has a class without descriptions.
    """
    try:
        descriptors = _DESCRIPTORS.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(
            f"Descriptor file {path}: expected a JSON object of class -> list of strings: {error}"
        ) from error
    missing = [name for name in classes if name not in descriptors]
    if missing:
        raise InputError(f"Descriptor file {path} lacks {_with_nearest(missing, list(descriptors))}")
    empty = [name for name in classes if not any(text.strip() for text in descriptors[name])]
    if empty:
        raise InputError(f"Descriptor file {path} has no descriptions for {', '.join(map(repr, empty))}")
    return [
        Described(name, tuple(text for text in dict.fromkeys(descriptors[name]) if text.strip())) for name in classes
    ]


def _with_nearest(missing: Sequence[str], available: Sequence[str]) -> str:
    return "; ".join(_nearest(name, available) for name in missing)


def _nearest(name: str, available: Sequence[str]) -> str:
    matches = get_close_matches(name, available, n=3, cutoff=0.5)
    hint = f"nearest names: {', '.join(map(repr, matches))}" if matches else "no similar name in it"
    return f"class {name!r} ({hint})"
