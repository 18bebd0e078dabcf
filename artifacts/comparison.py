"""What differs between two artifacts, or between a recipe and the last artifact of its stage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from artifacts.canonical import JSON
from artifacts.manifest import Manifest
from artifacts.recipe import Recipe


class _Absent:
    """Stands for a value that one side does not have."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


@dataclass(frozen=True)
class Change:
    """One difference, for example `parameters.k: 24 -> 32`.

    Attributes:
        part: what differs, by dotted path.
        before, after: the two values, or `ABSENT`.
    """

    part: str
    before: object
    after: object

    def __str__(self) -> str:
        if self.part == "code":
            return "code changed"
        return f"{self.part}: {_short(self.before)} -> {_short(self.after)}"


@dataclass(frozen=True)
class Explanation:
    """Whether a build would be a hit, and if not, why not.

    Attributes:
        hit: an intact artifact with the recipe's key exists.
        version: the version that is hit, or on a miss the version that `reasons` compare with, if there is one.
        reasons: on a miss, one line for each part of the key that differs; empty on a hit.
    """

    hit: bool
    version: str | None
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"cached as {self.version}" if self.hit else "; ".join(self.reasons)


def compare_key(before: Manifest, recipe: Recipe) -> list[Change]:
    """Which parts of the key differ between an artifact and a recipe."""
    return list(_differences(before.key_parts, recipe.parts))


def compare(before: Manifest, after: Manifest) -> list[Change]:
    """Differences between two artifacts: the parts of the key, the summary and the files."""
    return list(_differences(_described(before), _described(after)))


def _described(manifest: Manifest) -> dict[str, JSON]:
    files: dict[str, JSON] = {name: record.blake3 for name, record in manifest.files.items()}
    return {**manifest.key_parts, "summary": manifest.summary, "files": files}


def _differences(before: object, after: object, path: str = "") -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            part = f"{path}.{name}" if path else name
            yield from _differences(before.get(name, ABSENT), after.get(name, ABSENT), part)
    elif before != after:
        yield Change(path, before, after)


def _short(value: object) -> str:
    if isinstance(value, _Absent):
        return repr(value)
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value):
        return value[:12]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


_SHOWN = 60
