"""Phrases as properties of a network, read by the label space's real encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from artifacts import Artifact, Store
from prolab_model.checkpoint import load_model
from prolab_model.predictor import Predictor
from tasks.errors import InputError
from tasks.label_space import read_properties
from tasks.labels.encoder import find_embeddings
from tasks.predict.phrase import add_property, embed_phrase, known_properties, nearest_property
from tests.checkpoints import make_checkpoint, make_checkpoint_for
from tests.label_spaces import STREET, make_label_space


@pytest.fixture
def label_space(store: Store, tmp_path: Path) -> Artifact:
    return make_label_space(store, STREET, tmp_path)


@pytest.fixture
def checkpoint(store: Store, label_space: Artifact) -> Artifact:
    return make_checkpoint_for(store, label_space)


def test_a_description_has_the_vector_that_the_network_learnt_from(
    store: Store, label_space: Artifact, checkpoint: Artifact
) -> None:
    (embeddings,) = find_embeddings(store, label_space)
    row = embeddings.table("embeddings.parquet").to_pylist()[5]
    vector = embed_phrase(store, checkpoint, f" {row['text']} ", encoder=None, device="cpu")
    np.testing.assert_allclose(vector, row["vector"], atol=1e-5)

    segmentor, _ = load_model(checkpoint.path)
    number, cosine = nearest_property(known_properties(segmentor, checkpoint), vector)
    members = {item["text"]: item["property_id"] for item in label_space.table("assignments.parquet").to_pylist()}
    assert number == members[row["text"]]
    centre = read_properties(label_space).centres[number]
    assert cosine == pytest.approx(centre @ vector / np.linalg.norm(centre), abs=1e-5)
    assert cosine > 0.5


@pytest.mark.parametrize("flip", [False, True])
def test_it_is_one_more_property_by_which_no_class_is_told(store: Store, checkpoint: Artifact, flip: bool) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    segmentor, card = load_model(checkpoint.path)
    before = Predictor(segmentor, flip=flip).predict(photo)
    first_centre = segmentor.label_space.centres[0].numpy()

    new_card = add_property(segmentor, card, "what the first one says", first_centre)

    after = Predictor(segmentor, flip=flip).predict(photo)
    assert new_card.properties == (*card.properties, "what the first one says")
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_allclose(after.properties[:-1], before.properties, atol=1e-5)
    np.testing.assert_allclose(after.properties[-1], before.properties[0], atol=1e-5)


@pytest.mark.parametrize(
    ("phrase", "encoder", "message"),
    [(" ", None, "expected a phrase, got an empty one"), ("wet", "./absent", "No model at")],
)
def test_what_is_no_phrase_or_no_encoder_is_refused(
    store: Store, checkpoint: Artifact, phrase: str, encoder: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        embed_phrase(store, checkpoint, phrase, encoder, device="cpu")


def test_a_network_without_properties_or_without_lineage_is_refused(store: Store) -> None:
    one_hot = make_checkpoint(store, one_hot=True)
    segmentor, _ = load_model(one_hot.path)
    with pytest.raises(InputError, match="was trained one-hot, and knows no properties"):
        known_properties(segmentor, one_hot)
    with pytest.raises(InputError, match="the embeddings that it was made of are no longer in the store"):
        embed_phrase(store, one_hot, "wet", encoder=None, device="cpu")
