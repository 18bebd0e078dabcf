"""The photos of a split, read back as they were when the data set was indexed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from blake3 import blake3

from artifacts import Artifact
from prolab_model.data import LabelRules, read_labels
from tasks.dataset import Split
from tasks.errors import InputError


@dataclass(frozen=True)
class Photo:
    """A photo and its label map, with the hashes that the index recorded.

    Attributes:
        name: path relative to the data set's root.
        image, label: absolute paths.
        image_hash, label_hash: blake3 of the files' bytes.
    """

    name: str
    image: Path
    image_hash: str
    label: Path
    label_hash: str

    def read(self, rules: LabelRules) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """The photo (H, W, 3) RGB and its class ids (H, W).

        Raises:
            InputError: a file has vanished or is not the one that was indexed.
        """
        content = _indexed_bytes(self.image, self.image_hash)
        _indexed_bytes(self.label, self.label_hash)
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None  # the index has decoded these very bytes
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), read_labels(self.label, rules)


def list_photos(dataset: Artifact, name: str, split: Split) -> Sequence[Photo]:
    """The photos of `split`, whose name in the data set is `name`."""
    rows = [row for row in dataset.table("samples.parquet").to_pylist() if row["split"] == name]
    return [
        Photo(row["image"], sample.image, row["image_hash"], sample.label, row["label_hash"])
        for row, sample in zip(rows, split.samples, strict=True)
    ]


def _indexed_bytes(path: Path, expected: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: could be read when the data set was indexed, and now: {error.strerror}") from error
    found = blake3(content).hexdigest()
    if found != expected:
        raise InputError(
            f"{path}: the file has changed since the data set was indexed: "
            f"expected blake3 {expected[:12]}, got {found[:12]}; run the index stage again"
        )
    return content
