"""Says what of a data set is missing: where it was expected, what brings it, and where it seems to lie instead."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from tasks.prepare.annotations import Wanted

_DEPTH = 4
"""How deep below the root is looked for folders that lie elsewhere."""

_SHOWN = 5


def describe_missing(root: Path, missing: Sequence[Wanted], archives: Mapping[str, str]) -> str:
    """What is missing below `root`, and where it seems to be."""
    folders = list(_folders_below(root, _DEPTH))
    lines = []
    for wanted in missing:
        lines += [f"  {wanted}: not in {root}", f"    comes with: {_archive(wanted, archives)}"]
    for folder in (*folders, root.parent):
        if all(wanted.is_below(folder) for wanted in missing):
            return "\n".join([*lines, f"  all of it is in {folder}: is that the root? --root {folder}"])
    for wanted in missing:
        lines += _elsewhere(root, wanted, folders)
    return "\n".join(lines)


def _archive(wanted: Wanted, archives: Mapping[str, str]) -> str:
    return next(archive for path, archive in archives.items() if PurePath(wanted.path).is_relative_to(path))


def _elsewhere(root: Path, wanted: Wanted, folders: Sequence[Path]) -> Iterator[str]:
    """Folders that hold such files; those of the same name alone, where there are any."""
    if not wanted.suffixes:
        return
    found = [folder for folder in folders if any(file.name.endswith(wanted.suffixes) for file in os.scandir(folder))]
    name = PurePath(wanted.path).name
    found = [folder for folder in found if folder.name == name] or found
    if len(found) == 1:
        yield f"  {found[0]} holds such files: is it {wanted.path}? Then move it to {root / wanted.path}"
    elif found:
        more = f" and {len(found) - _SHOWN} more folders" if len(found) > _SHOWN else ""
        yield f"  files like {wanted} are in {', '.join(map(str, found[:_SHOWN]))}{more}"


def _folders_below(folder: Path, depth: int) -> Iterator[Path]:
    if depth == 0:
        return
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir() and not entry.name.startswith("."):
            yield Path(entry.path)
            yield from _folders_below(Path(entry.path), depth - 1)
