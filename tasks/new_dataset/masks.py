"""Reads masks as they come: class numbers, numbers with a palette, or colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from prolab_model.dataset_config import Colour
from prolab_model.image_files import ImageFileError, decode_label, image_size
from prolab_model.label_formats import AnnotationError


class Value(NamedTuple):
    """What a pixel of a mask says: a number, a colour, or a number and the colour that the palette has for it."""

    number: int | None
    colour: Colour | None

    def __str__(self) -> str:
        colour = None if self.colour is None else "{},{},{}".format(*self.colour)
        return " = ".join(part for part in (None if self.number is None else str(self.number), colour) if part)

    def is_grey(self) -> bool:
        """Whether it is a colour alone, and a grey one."""
        return self.number is None and self.colour is not None and len(set(self.colour)) == 1


@dataclass(frozen=True)
class Mask:
    """A mask as it is in its file.

    Attributes:
        codes: (H, W), numbers, or colours as 256 * (256 * red + green) + blue.
        coloured: whether they are colours.
        palette: colour of each number, if the file has a palette.
    """

    codes: npt.NDArray[np.integer[Any]]
    coloured: bool
    palette: Mapping[int, Colour]

    def value(self, code: int) -> Value:
        """What a code stands for."""
        if self.coloured:
            return Value(None, (code >> 16, code >> 8 & 255, code & 255))
        return Value(code, self.palette.get(code))

    def count(self) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.int64]]:
        """The codes that occur, in order, and how often each does; neighbours are mostly alike, so runs are counted."""
        flat = self.codes.ravel()
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        codes, run_of = np.unique(flat[starts], return_inverse=True)
        return codes, np.bincount(run_of, weights=np.diff(starts, append=flat.size)).astype(np.int64)


@dataclass(frozen=True)
class Looked:
    """What was found in a photo and its mask; where something is wrong, there is only `problem`."""

    width: int = 0
    height: int = 0
    pixels: tuple[tuple[Value, int], ...] = ()
    problem: str | None = None


def look_at(files: tuple[Path, Path]) -> Looked:
    """Decode a photo and its mask, and count the values."""
    image, mask = files
    try:
        height, width = image_size(image.read_bytes())
    except (ImageFileError, OSError) as error:
        return Looked(problem=f"{image}: {error}")
    try:
        read = read_mask(mask)
    except (ImageFileError, OSError) as error:
        return Looked(problem=f"{mask}: {error}")
    if read.codes.shape != (height, width):
        size = f"{read.codes.shape[1]}x{read.codes.shape[0]}"
        return Looked(problem=f"{mask}: the mask is {size} and its photo {image.name} is {width}x{height}")
    codes, pixels = read.count()
    values = map(read.value, codes.tolist())
    return Looked(width, height, tuple(zip(values, pixels.tolist(), strict=True)))


def read_mask(path: Path) -> Mask:
    """Read a mask.

    Raises:
        ImageFileError: not an image, a damaged one, or one that is neither numbers nor opaque colours.
        OSError: the file cannot be read.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
                raise ImageFileError("expected opaque colours, got transparent pixels (mode RGBA)")
            if image.mode in ("RGB", "RGBA"):
                red, green, blue = np.moveaxis(np.asarray(image.convert("RGB"), np.int32), -1, 0)
                return Mask(256 * (256 * red + green) + blue, True, {})
            entries = np.asarray(image.getpalette("RGB") or (), int).reshape(-1, 3) if image.mode == "P" else ()
    # Pillow raises SyntaxError for a broken PNG.
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageFileError(f"not a mask that can be decoded: {error}") from error
    palette = {number: (int(red), int(green), int(blue)) for number, (red, green, blue) in enumerate(entries)}
    return Mask(decode_label(path.read_bytes()), False, palette)


def class_ids(path: Path, meaning: Mapping[Value, int]) -> npt.NDArray[np.uint8]:
    """The class ids (H, W) of a mask.

    Raises:
        ImageFileError: the mask cannot be read.
        AnnotationError: it holds a value without a meaning.
    """
    mask = read_mask(path)
    codes, _ = mask.count()
    values = [mask.value(code) for code in codes.tolist()]
    if unknown := [value for value in values if value not in meaning]:
        raise AnnotationError(f"unknown value {unknown[0]}: the file has changed meanwhile")
    ids = np.array([meaning[value] for value in values], np.uint8)
    return np.asarray(ids[np.searchsorted(codes, mask.codes)])
