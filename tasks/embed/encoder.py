"""Sentence encoders: what the stage asks of one, and how it is opened."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from transformers.utils.logging import disable_progress_bar

from tasks.device import choose_device
from tasks.embed import EmbedParams, Pooling, Precision
from tasks.embed.model_folder import ModelFolder
from tasks.errors import InputError

_log = logging.getLogger(__name__)

Vectors = npt.NDArray[np.float32]
_EncoderClass = Callable[[ModelFolder, Pooling, Precision, str], "Encoder"]


class Encoder(Protocol):
    """A sentence encoder on one device."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of one batch of texts (B, D), as the pooling gives them; several threads may call it at a time."""


def open_encoders(params: EmbedParams, folder: Path) -> list[Encoder]:
    """Open a model's folder: one encoder for each batch that can be encoded at a time.

    On GPUs this is one for each of them. On a CPU it is one and the same for each core: phrases are short, and a core
    by itself gets more out of a batch of them than all cores that share it.

    Raises:
        InputError: the model was made for another pooling, or the back end cannot run all of it.
    """
    disable_progress_bar()  # type: ignore[no-untyped-call]  # the library leaves it without types
    device = choose_device(params.device, "embed.device")
    model = ModelFolder(folder)
    check_pooling(params, model)
    encoder = _encoder_class(params, model)
    if device == "cpu":
        return [encoder(model, params.pooling, params.precision, "cpu")] * torch.get_num_threads()
    gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return [encoder(model, params.pooling, params.precision, gpu) for gpu in gpus]


def _encoder_class(
    params: EmbedParams, model: ModelFolder
) -> Callable[[ModelFolder, Pooling, Precision, str], Encoder]:
    # Imported here because either library takes seconds to import, and only one is used.
    if params.backend == "sentence_transformers":
        from tasks.embed.sentence_transformers_encoder import SentenceTransformersEncoder

        return SentenceTransformersEncoder
    from tasks.embed.flag_embedding_encoder import FlagEmbeddingEncoder

    if model.further_modules:
        raise InputError(
            f"embed.backend: {params.encoder} has the modules {', '.join(model.further_modules)}, which "
            "FlagEmbedding would leave out; take embed.backend: sentence_transformers"
        )
    return FlagEmbeddingEncoder


def check_pooling(params: EmbedParams, model: ModelFolder) -> None:
    """Hold the pooling against what the model was made for.

    The mean over the tokens of a model that was made for CLS is warned of only: it is the paper's for BGE.

    Raises:
        InputError: it is another one in any other way, and the parameters do not overrule the model.
    """
    stated = model.pooling
    if stated in (None, params.pooling):
        return
    what = f"embed.pooling is {params.pooling!r}, but the encoder {params.encoder} was made for {stated!r}"
    if (params.pooling, stated) != ("mean", "cls") and not params.overrule_pooling:
        raise InputError(f"{what}: set embed.pooling: {stated}, or embed.overrule_pooling: true to pool as you say")
    _log.warning("%s", what)
