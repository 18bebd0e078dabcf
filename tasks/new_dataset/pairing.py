"""Which mask belongs to which photo, by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from tasks.errors import InputError
from tasks.index.folders import names_below

IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
"""How the names of photos and masks end, whatever the case."""

_SEPARATORS = "_-. "
_SHOWN = 3


@dataclass(frozen=True)
class Pairing:
    """Photos and masks that share a name, which is a path below their folders without suffix.

    Attributes:
        names: those that have both.
        image_suffix: how the photos' names end.
        mask_suffix: how the masks' names end.
        alone: photos without a mask, masks without a photo and files of other kinds, each with what is wrong.
    """

    names: tuple[str, ...]
    image_suffix: str
    mask_suffix: str
    alone: tuple[str, ...]


def pair(images: Path, masks: Path, image_suffix: str | None, mask_suffix: str | None) -> Pairing:
    """Pair the photos below a folder with the masks below one, which may be the same; suffixes are found out.

    Raises:
        InputError: nothing pairs, or several masks belong to a photo.
    """
    for folder in (images, masks):
        if not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder")
    files, mask_files = _image_files(images), _image_files(masks)
    if not files or not mask_files:
        empty = masks if files else images
        raise InputError(f"{empty}: no file here ends in {', '.join(IMAGES)}")
    if image_suffix is None or mask_suffix is None:
        image_suffix, mask_suffix = _suffixes(files, mask_files, image_suffix, mask_suffix, same=images == masks)
    photos, mask_names = names_below(images, image_suffix), names_below(masks, mask_suffix)
    if images == masks:
        photos = {name for name in photos if not (name + image_suffix).endswith(mask_suffix)}
    names = sorted(photos & mask_names)
    if not names:
        raise InputError(_no_pair(files, mask_files, image_suffix, mask_suffix))
    alone = [f"{name}{image_suffix}: the photo has no mask {name}{mask_suffix}" for name in sorted(photos - mask_names)]
    alone += [
        f"{name}{mask_suffix}: the mask has no photo {name}{image_suffix}" for name in sorted(mask_names - photos)
    ]
    if images != masks:
        alone += [f"{file}: the others end in {image_suffix}" for file in files if not file.endswith(image_suffix)]
    return Pairing(tuple(names), image_suffix, mask_suffix, tuple(alone))


def _image_files(folder: Path) -> list[str]:
    return sorted(name for name in names_below(folder, "") if name.lower().endswith(IMAGES))


def _suffixes(
    files: Sequence[str], mask_files: Sequence[str], image_suffix: str | None, mask_suffix: str | None, same: bool
) -> tuple[str, str]:
    """How photos and masks end: what makes most of them pair."""
    candidates = _endings(files) if image_suffix is None else [image_suffix]
    best: tuple[str, Counter[str]] | None = None
    for ending in candidates:
        stems = {file.removesuffix(ending) for file in files if file.endswith(ending)}
        tails = Counter(tail for file in mask_files if (tail := _tail(file, stems, ending if same else None)))
        if mask_suffix is not None:
            tails = Counter({mask_suffix: sum(file.endswith(mask_suffix) for file in mask_files)})
        if tails and (best is None or tails.most_common(1)[0][1] > best[1].most_common(1)[0][1]):
            best = ending, tails
    if best is None:
        raise InputError(_no_pair(files, mask_files, image_suffix, mask_suffix))
    ending, tails = best
    (tail, count), *others = tails.most_common()
    if others and others[0][1] > count / 2:
        listing = ", ".join(f"{other} ({number})" for other, number in tails.most_common(_SHOWN))
        raise InputError(f"the masks' names end in several ways: {listing}; say which with --mask-suffix")
    return ending, tail


def _endings(files: Sequence[str]) -> Iterator[str]:
    """How the names of most photos may end: the kind of file, and with it what follows a separator in all of them."""
    kind = Counter(PurePath(file).suffix for file in files).most_common(1)[0][0]
    yield kind
    stems = [file.removesuffix(kind) for file in files if file.endswith(kind)]
    for start, character in enumerate(stems[0]):
        if character in _SEPARATORS and all(stem.endswith(stems[0][start:]) for stem in stems):
            yield stems[0][start:] + kind


def _tail(mask: str, stems: set[str], own_ending: str | None) -> str | None:
    """What follows the longest photo's name that a mask's name begins with; `own_ending` if photos lie beside it."""
    stem = mask.removesuffix(PurePath(mask).suffix)
    for length in range(len(stem), 0, -1):
        if stem[:length] in stems and mask != f"{stem[:length]}{own_ending}":
            return mask[length:]
    return None


def _no_pair(files: Sequence[str], mask_files: Sequence[str], image_suffix: str | None, mask_suffix: str | None) -> str:
    suffixes = "" if image_suffix is None and mask_suffix is None else f" with suffixes {image_suffix}, {mask_suffix}"
    return (
        f"no mask belongs to a photo{suffixes}: photos are {', '.join(files[:_SHOWN])}, … and masks are "
        f"{', '.join(mask_files[:_SHOWN])}, …; expected the same names (below the same folders) before the suffixes, "
        "which --image-suffix and --mask-suffix say where they cannot be guessed"
    )
