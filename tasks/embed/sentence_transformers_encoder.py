"""A sentence encoder run by sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer


class SentenceTransformersEncoder:
    """The transformer of a model folder with the pooling that is asked for, whatever the folder's own is."""

    def __init__(self, model: Path, pooling: Literal["mean", "cls"], device: str) -> None:
        transformer = Transformer(str(model))
        width = transformer.get_embedding_dimension()
        self._encoder = SentenceTransformer(modules=[transformer, Pooling(width, pooling)], device=device)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of one batch of texts (B, D), as the pooling gives them."""
        return self._encoder.encode(
            list(texts), batch_size=len(texts), show_progress_bar=False, normalize_embeddings=False
        )
