"""Which photos are meant, and what the files are called that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.errors import InputError
from tasks.index.folders import names_below
from tasks.new_dataset.pairing import IMAGES


def find_photos(places: Sequence[Path]) -> dict[str, Path]:
    """Photos by name, without suffix: files, and all that lies below folders, whose names begin below the folder.

    Raises:
        InputError: there is no such file or folder, no photo in one, or two photos would have one name.
    """
    found: dict[str, Path] = {}
    for place in places:
        for photo in _photos_of(place):
            name = photo.relative_to(place if place.is_dir() else photo.parent).with_suffix("").as_posix()
            if found.get(name, photo) != photo:
                raise InputError(f"{found[name]} and {photo} have one name, {name}: predict them into two folders")
            found[name] = photo
    return found


def _photos_of(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise InputError(f"{place}: there is no such photo or folder")
    photos = [place / name for name in sorted(names_below(place, "")) if name.lower().endswith(IMAGES)]
    if not photos:
        raise InputError(f"{place}: no file here ends in {', '.join(IMAGES)}")
    return photos
