"""A sentence encoder run by FlagEmbedding."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from FlagEmbedding import FlagModel

from tasks.embed import Pooling, Precision
from tasks.embed.model_folder import ModelFolder


class FlagEmbeddingEncoder:
    """The parts of a FlagModel: its own `encode` would compute every batch twice, to find out how large it may be.

    Its default pooling, CLS, would be silently wrong for many models.
    """

    def __init__(self, model: ModelFolder, pooling: Pooling, precision: Precision, device: str) -> None:
        whole = FlagModel(
            str(model.path),
            pooling_method=pooling,
            use_fp16=precision == "float16",
            use_bf16=precision == "bfloat16",
            devices=[device],
        )
        self._tokenizer = whole.tokenizer
        self._network = whole.model.to(device).eval()
        self._pool = whole.pooling
        self._device = device
        limit = self._tokenizer.model_max_length
        self._max_tokens = model.max_tokens or min(
            limit, getattr(self._network.config, "max_position_embeddings", limit)
        )
        # A tokenizer keeps how it pads, and cannot be used by two threads.
        self._tokenizing = Lock()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, those that would be cut off left out."""
        with self._tokenizing:
            tokens = self._tokenizer(list(texts), truncation=True, max_length=self._max_tokens)
        return [len(ids) for ids in tokens["input_ids"]]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of one batch of texts (B, D), as the pooling gives them."""
        with self._tokenizing:
            tokens = self._tokenizer(
                list(texts), padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
            )
        tokens = tokens.to(self._device)
        hidden = self._network(**tokens).last_hidden_state.float()
        vectors: npt.NDArray[np.float32] = self._pool(hidden, tokens["attention_mask"]).cpu().numpy()
        return vectors
