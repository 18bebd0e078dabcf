from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prolab_model.image_files import ImageFileError, decode_image, image_size


@pytest.fixture(scope="module")
def photo(shared_data: Path) -> Image.Image:
    return Image.open(next((shared_data / "camvid/images/train").glob("*.jpg")))


def encode(image: Image.Image, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", **options)
    return content.getvalue()


ENCODINGS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "444": {"subsampling": 0},
    "restarts": {"restart_marker_rows": 1},
}


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS)
def test_size_is_refused_wherever_the_photo_is(photo: Image.Image, options: dict[str, object]) -> None:
    """Whatever of the file is cut off or overwritten, grey finds what colour finds."""
    content = encode(photo, **options)
    assert image_size(content) == decode_image(content).shape[:2] == (360, 480)
    generator = np.random.default_rng(0)
    damaged = [content[: len(content) * part // 8] for part in range(1, 8)]
    damaged += [content[:-missing] for missing in (1, 2, 3, 100)]
    for _ in range(30):
        position = int(generator.integers(2, len(content)))
        damaged.append(content[:position] + generator.bytes(20) + content[position + 20 :])
    refused = [is_refused(image_size, broken) for broken in damaged]
    assert refused == [is_refused(decode_image, broken) for broken in damaged]
    assert all(refused[:11])


def is_refused(decode: Callable[[bytes], object], content: bytes) -> bool:
    try:
        decode(content)
    except ImageFileError:
        return True
    return False


def test_size_is_that_of_the_turned_photo(photo: Image.Image) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    content = encode(photo, exif=turned)
    assert image_size(content) == decode_image(content).shape[:2] == (480, 360)
