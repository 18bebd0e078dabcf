from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from artifacts import Artifact, Store
from tasks.errors import InputError
from tasks.labels.encoder import encoder_params, find_embeddings
from tasks.models import parse_model
from tests.label_spaces import MINILM, STREET, make_embeddings


def test_the_encoder_and_its_settings_are_found_by_lineage(store: Store, street: Artifact, joint: Artifact) -> None:
    (embeddings,) = find_embeddings(store, street)
    params = encoder_params(store, embeddings, None, "cpu")
    assert (params.encoder, params.pooling, params.lower_case, params.template) == (MINILM, "mean", True, "{text}")
    assert len(find_embeddings(store, joint)) == 2


def test_settings_are_those_that_the_embeddings_were_made_with(store: Store, tmp_path: Path) -> None:
    settings = {"template": "It has {text}", "lower_case": False, "pooling": "cls", "overrule_pooling": True}
    embeddings = make_embeddings(store, STREET, tmp_path, **settings)
    params = encoder_params(store, embeddings, None, "auto")
    assert (params.template, params.lower_case, params.pooling) == ("It has {text}", False, "cls")


def test_an_encoder_may_move_but_not_change(store: Store, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(parse_model(MINILM).fetch(), here)
    embeddings = make_embeddings(store, {"a": ["One", "Two", "Three"]}, tmp_path, encoder=str(here))
    here.rename(there)
    with pytest.raises(InputError, match="No model at"):
        encoder_params(store, embeddings, None, "auto")
    assert encoder_params(store, embeddings, str(there), "auto").encoder == str(there)
    (there / "config.json").write_text("{}")
    with pytest.raises(InputError, match="is not the encoder of embeddings:"):
        encoder_params(store, embeddings, str(there), "auto")
