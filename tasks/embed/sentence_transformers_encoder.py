"""A sentence encoder run by sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize
from sentence_transformers.sentence_transformer.modules import Pooling as PoolingModule

from tasks.embed import Pooling, Precision
from tasks.embed.model_folder import ModelFolder


class SentenceTransformersEncoder:
    """The modules of a model folder, with the pooling that is asked for, and without the prompts that some have."""

    def __init__(self, model: ModelFolder, pooling: Pooling, precision: Precision, device: str) -> None:
        whole = SentenceTransformer(
            str(model.path), device=device, model_kwargs={"dtype": getattr(torch, precision)}, local_files_only=True
        )
        modules = [module for module in whole if not isinstance(module, Normalize)]
        for index, module in enumerate(modules):
            if isinstance(module, PoolingModule):
                modules[index] = PoolingModule(module.embedding_dimension, pooling)
        self._encoder = SentenceTransformer(modules=modules, device=device).eval()
        self._device = device
        # A tokenizer keeps how it pads, and cannot be used by two threads.
        self._tokenizing = Lock()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, those that would be cut off left out."""
        with self._tokenizing:
            tokens = self._encoder.tokenizer(list(texts), truncation=True, max_length=self._encoder.max_seq_length)
        return [len(ids) for ids in tokens["input_ids"]]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of one batch of texts (B, D), as the pooling gives them."""
        with self._tokenizing:
            features = self._encoder.preprocess(list(texts))
        features = {
            name: value.to(self._device) if isinstance(value, torch.Tensor) else value
            for name, value in features.items()
        }
        vectors: npt.NDArray[np.float32] = self._encoder(features)["sentence_embedding"].float().cpu().numpy()
        return vectors
