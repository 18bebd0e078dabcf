"""A phrase as a property: compared with pixels as the centres are, since they live in one text space (spec 3.5)."""

from __future__ import annotations

import numpy as np
import torch

from artifacts import Artifact, Store
from prolab_model.checkpoint import ModelCard
from prolab_model.label_space import PropertyLabelSpace
from prolab_model.segmentor import PropertySegmentor
from tasks.embed.batches import encode_texts
from tasks.embed.encoder import Vectors, open_encoders
from tasks.embed.run import embedded_text
from tasks.errors import InputError
from tasks.labels.encoder import encoder_params, find_embeddings
from tasks.models import parse_model
from tasks.progress import SilentProgress
from tasks.stage import DeviceName


def embed_phrase(store: Store, checkpoint: Artifact, phrase: str, encoder: str | None, device: DeviceName) -> Vectors:
    """The unit vector (D,) of a phrase, embedded as the descriptions were that the network has learnt from.

    Args:
        store: knows what the checkpoint was made of.
        checkpoint: an artifact of this kind.
        phrase: such as "striped fur".
        encoder: where the encoder lies now; None where it lay then.
        device: where it runs.

    Raises:
        InputError: the phrase is empty, the embeddings are no longer in the store, or this is not their encoder.
    """
    if not phrase.strip():
        raise InputError("--text: expected a phrase, got an empty one")
    params = encoder_params(store, find_embeddings(store, checkpoint)[0], encoder, device)
    encoders = open_encoders(params, parse_model(params.encoder).fetch())
    text = embedded_text(params, phrase.strip(), category="")
    (vector,) = encode_texts([text], encoders, params.batch_size, SilentProgress())
    return np.asarray(vector / np.linalg.norm(vector))


def known_properties(segmentor: PropertySegmentor, checkpoint: Artifact) -> PropertyLabelSpace:
    """The properties that the network has learnt.

    Raises:
        InputError: it has learnt classes alone.
    """
    if not isinstance(segmentor.label_space, PropertyLabelSpace):
        raise InputError(f"--text: {checkpoint.reference} was trained one-hot, and knows no properties")
    return segmentor.label_space


def nearest_property(label_space: PropertyLabelSpace, vector: Vectors) -> tuple[int, float]:
    """Id of the property that is nearest to a unit vector (D,), and their cosine."""
    cosines = label_space.centres.cpu().numpy() @ vector
    return int(cosines.argmax()), float(cosines.max())


def add_property(segmentor: PropertySegmentor, card: ModelCard, phrase: str, vector: Vectors) -> ModelCard:
    """Give the network the vector (D,) of a phrase as its last property; the card that is returned names it.

    Classes are told apart as before.
    """
    assert isinstance(segmentor.label_space, PropertyLabelSpace)
    segmentor.label_space = segmentor.label_space.with_property(torch.from_numpy(vector))
    return card.model_copy(update={"properties": (*card.properties, phrase)})
