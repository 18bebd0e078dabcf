"""The files of a data set: which lie below its root, and which image belongs to which label map."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from blake3 import blake3

from prolab_model.dataset_config import DatasetConfig, SplitFolders
from tasks.errors import InputError


@dataclass(frozen=True, order=True)
class Pair:
    """An image and its label map, relative to the root and with forward slashes."""

    split: str
    image: str
    label: str


def fingerprint(root: Path, config: DatasetConfig) -> str:
    """Hash of path, size and modification time of every image, label map and list of names; reads no file.

    Raises:
        InputError: a folder is missing.
    """
    require_folders(root, config)
    folders = {
        (folder, suffix)
        for split in config.data.values()
        for folder, suffix in ((split.img_dir, split.img_suffix), (split.ann_dir, split.seg_map_suffix))
    }
    digest = blake3()
    for folder, suffix in sorted(folders):
        for entry in sorted(_files(root / folder, suffix), key=lambda entry: entry.path):
            state = entry.stat()
            path = PurePath(entry.path).relative_to(root).as_posix()
            digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(errors="surrogateescape"))
    for listing in sorted({split.split for split in config.data.values() if split.split is not None}):
        state = (root / listing).stat()
        digest.update(f"{listing}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def find_pairs(root: Path, config: DatasetConfig) -> tuple[list[Pair], list[str]]:
    """Pair images with label maps by the name that is left without suffixes; a split's list says which count.

    Returns:
        The pairs sorted by split and image, and the problems: what has no partner, splits without images, and what is
        listed and does not exist.

    Raises:
        InputError: a folder is missing.
    """
    require_folders(root, config)
    pairs: list[Pair] = []
    problems: list[str] = []
    for split, folders in sorted(config.data.items()):
        images = names_below(root / folders.img_dir, folders.img_suffix)
        labels = names_below(root / folders.ann_dir, folders.seg_map_suffix)
        if not images:
            problems.append(_empty_split(root, split, folders))
        if folders.split is not None:
            listed = listed_names(root / folders.split)
            if not listed:
                problems.append(f"split {split!r}: {folders.split} names no image")
            problems += [f"{folders.split}: {name!r} has no image" for name in sorted(listed - images - labels)]
            images, labels = images & listed, labels & listed
        pairs += [_pair(split, folders, name) for name in sorted(images & labels)]
        for name in sorted(images - labels):
            missing = _pair(split, folders, name)
            problems.append(f"{missing.image}: the image has no label map, expected {missing.label}")
        for name in sorted(labels - images):
            missing = _pair(split, folders, name)
            problems.append(f"{missing.label}: the label map has no image, expected {missing.image}")
    return sorted(pairs), problems


def require_folders(root: Path, config: DatasetConfig) -> None:
    """Raise InputError, saying what exists instead, when the root or a split's folder or list is missing."""
    if not root.is_dir():
        raise InputError(f"dataset.root: no folder {root}; {_contents(_nearest_parent(root))}")
    missing = [
        f"data.{split}.{key}: no folder {folder}; {_contents(_nearest_parent(folder))}"
        for split, folders in config.data.items()
        for key, folder in (("img_dir", root / folders.img_dir), ("ann_dir", root / folders.ann_dir))
        if not folder.is_dir()
    ]
    missing += [
        f"data.{split}.split: no file {root / folders.split}"
        for split, folders in config.data.items()
        if folders.split is not None and not (root / folders.split).is_file()
    ]
    if missing:
        raise InputError("\n".join(missing))


def _nearest_parent(folder: Path) -> Path:
    return next(parent for parent in folder.parents if parent.is_dir())


def _contents(folder: Path, limit: int = 10) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    if not names:
        return f"{folder} is empty"
    return f"{folder} holds {', '.join(names[:limit])}{', …' if len(names) > limit else ''}"


def _empty_split(root: Path, split: str, folders: SplitFolders) -> str:
    found = Counter(PurePath(entry.path).suffix for entry in _files(root / folders.img_dir, ""))
    instead = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in found.most_common()) or "nothing"
    return f"split {split!r}: no image that ends in {folders.img_suffix!r} below {folders.img_dir}; found {instead}"


def _pair(split: str, folders: SplitFolders, name: str) -> Pair:
    image = PurePath(folders.img_dir, name + folders.img_suffix).as_posix()
    label = PurePath(folders.ann_dir, name + folders.seg_map_suffix).as_posix()
    return Pair(split, image, label)


def names_below(folder: Path, suffix: str) -> set[str]:
    """Paths below `folder`, with forward slashes and without the suffix."""
    return {
        PurePath(entry.path).relative_to(folder).as_posix().removesuffix(suffix) for entry in _files(folder, suffix)
    }


def listed_names(listing: Path) -> set[str]:
    """The names in a split's list."""
    return {name for line in listing.read_text(encoding="utf-8").splitlines() if (name := line.strip())}


def _files(folder: Path | str, suffix: str) -> Iterator[os.DirEntry[str]]:
    """Files below `folder`, however deep, that end in `suffix`; hidden ones do not count, as in mmcv."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files(entry.path, suffix)
            elif entry.name.endswith(suffix):
                yield entry
