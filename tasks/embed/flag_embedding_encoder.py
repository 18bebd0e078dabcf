"""A sentence encoder run by FlagEmbedding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from FlagEmbedding import FlagModel


class FlagEmbeddingEncoder:
    """FlagModel without its query instruction; its default pooling, CLS, would be silently wrong for many models."""

    def __init__(self, model: Path, pooling: Literal["mean", "cls"], device: str) -> None:
        self._encoder = FlagModel(
            str(model), pooling_method=pooling, normalize_embeddings=False, use_fp16=False, devices=[device]
        )

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of one batch of texts (B, D), as the pooling gives them."""
        return np.asarray(self._encoder.encode(list(texts), batch_size=len(texts)), dtype=np.float32)
