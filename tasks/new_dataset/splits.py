"""Which photos are to train on and which to validate with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from blake3 import blake3

from tasks.errors import InputError
from tasks.index.folders import listed_names

SPLITS = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""The folders that make a split, by its name."""


def split(names: Sequence[str], lists: Mapping[str, Path], validation_share: float) -> dict[str, list[str]]:
    """Names of each split: by the lists that are there, else by folders called train and val, else by chance.

    Chance is a hash of the name: the same photos always make the same splits, and more photos change few places.

    Args:
        names: paths without suffix.
        lists: the file of each split.
        validation_share: share of the photos that chance gives to the validation.

    Raises:
        InputError: when no photo would be left for one of the splits.
    """
    if lists["train"].exists() and lists["val"].exists():
        splits = {name: sorted(listed_names(path) & set(names)) for name, path in lists.items() if path.exists()}
    else:
        splits = _by_folder(names) or _by_chance(names, validation_share)
    if empty := [name for name in ("train", "val") if not splits.get(name)]:
        raise InputError(f"no photo is left for {' and '.join(empty)}; there are {len(names)} with a mask")
    return splits


def _by_folder(names: Sequence[str]) -> dict[str, list[str]] | None:
    splits = {
        name: [path for path in names if path.partition("/")[0].lower() in folders and "/" in path]
        for name, folders in SPLITS.items()
    }
    return {name: inside for name, inside in splits.items() if inside} if splits["train"] and splits["val"] else None


def _by_chance(names: Sequence[str], validation_share: float) -> dict[str, list[str]]:
    shuffled = sorted(names, key=lambda name: blake3(name.encode(errors="surrogateescape")).digest())
    count = max(1, round(len(names) * validation_share))
    return {"train": sorted(shuffled[count:]), "val": sorted(shuffled[:count])}
