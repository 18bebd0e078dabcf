"""Decodes photos and label maps and counts labels, for the index and for training alike."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image


class ImageFileError(ValueError):
    """A file is no photo or label map that can be used; the message says why, and the caller which file."""


def decode_image(content: bytes) -> npt.NDArray[np.uint8]:
    """Decode a photo, turned as its EXIF data says: (H, W, 3) BGR.

    Raises:
        ImageFileError: not an image, or a damaged one.
    """
    return _decode(content, cv2.IMREAD_COLOR)


def image_size(content: bytes) -> tuple[int, int]:
    """Height and width of a photo, turned as its EXIF data says, once all of it has been decoded.

    Raises:
        ImageFileError: not an image, or a damaged one.
    """
    # A JPEG's bits are all read whatever its colours become; in grey it takes half the time.
    height, width = _decode(content, cv2.IMREAD_GRAYSCALE).shape
    return height, width


def _decode(content: bytes, colours: int) -> npt.NDArray[np.uint8]:
    if not content:
        raise ImageFileError("the file is empty")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), colours)
    if image is None:
        raise ImageFileError(f"not an image that can be decoded ({len(content)} bytes)")
    return np.asarray(image, np.uint8)


def decode_label(content: bytes) -> npt.NDArray[np.integer[Any]]:
    """Decode a label map: (H, W) of the values as they stand in the file, 8, 16 or 32 bits.

    Pillow reads it, as in mmsegmentation: OpenCV would turn the indices of a palette into colours.

    Raises:
        ImageFileError: not an image, a damaged one, or one with several channels or fractions.
    """
    if not content:
        raise ImageFileError("the file is empty")
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode = image.mode
            label = np.asarray(image)
    # Pillow raises SyntaxError for a broken PNG.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageFileError(f"not a label map that can be decoded: {error}") from error
    if label.ndim != 2:
        raise ImageFileError(f"expected one channel of class numbers, got {label.shape[2]} channels (mode {mode})")
    if label.dtype == np.bool_:
        return label.astype(np.uint8)
    if not np.issubdtype(label.dtype, np.integer):
        raise ImageFileError(f"expected whole numbers, got {label.dtype} (mode {mode})")
    return label


def count_values(label: npt.NDArray[np.integer[Any]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The values that occur, in order, and how often each does."""
    if label.dtype.kind == "i":  # 32-bit files can hold values that are too large or negative for a table
        values, pixels = np.unique(label, return_counts=True)
        return values.astype(np.int64), pixels
    # Neighbours are mostly alike: counting runs of them takes a quarter of the time.
    flat = label.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    counts = np.bincount(flat[starts], weights=np.diff(starts, append=flat.size)).astype(np.int64)
    values = np.flatnonzero(counts)
    return values, counts[values]
