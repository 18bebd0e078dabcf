"""Decodes photos and label maps, for the index and for training alike."""

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
    if not content:
        raise ImageFileError("the file is empty")
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
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
