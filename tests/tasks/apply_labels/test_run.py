"""Classes that a network was not trained on, by the properties that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from artifacts import Artifact, Store
from prolab_model.checkpoint import ModelCard, load_model
from prolab_model.segmentor import PropertySegmentor
from tasks.apply_labels import STAGE, ApplyParams
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.extend_labels import ExtendParams, extend_stage, source_names
from tasks.label_space import read_class_matrices
from tasks.labels.encoder import find_embeddings
from tasks.progress import SilentProgress
from tests.checkpoints import make_checkpoint, make_checkpoint_for
from tests.label_spaces import STREET, Descriptors, make_embeddings, make_joint_label_space, make_label_space

NEW: Descriptors = {"truck": ["Large rubber wheels", "Painted metal body", "Glass windshield"]}


@pytest.fixture(scope="module")
def street(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_label_space(store, STREET, tmp_path_factory.mktemp("street"))


@pytest.fixture(scope="module")
def extended(street: Artifact, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    sources = find_embeddings(store, street)
    embeddings = make_embeddings(store, NEW, tmp_path_factory.mktemp("new"))
    inputs = {"label_space": street, "embeddings": embeddings, **dict(zip(source_names(1), sources, strict=True))}
    return run_stage(extend_stage(1), ExtendParams(), inputs, store, SilentProgress()).artifact


def apply(store: Store, checkpoint: Artifact, label_space: Artifact, dataset: str = "") -> Artifact:
    inputs = {"checkpoint": checkpoint, "label_space": label_space}
    return run_stage(STAGE, ApplyParams(dataset=dataset), inputs, store, SilentProgress()).artifact


def loaded(checkpoint: Artifact) -> tuple[PropertySegmentor, ModelCard]:
    return load_model(checkpoint.path)


def test_network_has_the_new_class_and_is_otherwise_the_same(
    store: Store, street: Artifact, extended: Artifact
) -> None:
    trained = make_checkpoint_for(store, street)
    applied = apply(store, trained, extended)

    (before, old), (after, new) = loaded(trained), loaded(applied)
    assert new.classes == (*STREET, "truck")
    assert new.palette[:6] == old.palette
    assert len(set(new.palette)) == 7
    assert new.properties == old.properties
    assert (old.unseen, new.unseen) == ((), ("truck",))
    weights = before.state_dict()
    for name, value in after.state_dict().items():
        if name != "label_space.class_matrix":
            torch.testing.assert_close(value, weights[name], rtol=0, atol=0, msg=name)
    assert applied.table("metrics.parquet") == trained.table("metrics.parquet")
    assert applied.manifest.summary["new_classes"] == 1
    assert loaded(apply(store, applied, extended))[1].unseen == ("truck",), "it is as new as before"


def test_new_class_is_scored_by_its_properties_and_old_ones_as_before(
    store: Store, street: Artifact, extended: Artifact
) -> None:
    trained = make_checkpoint_for(store, street)
    before, after = loaded(trained)[0], loaded(apply(store, trained, extended))[0]
    (matrix,) = read_class_matrices(extended)
    similarities = torch.randn(2, 12, 5, 4, generator=torch.Generator().manual_seed(0))
    scores = after.label_space.class_scores(similarities)

    torch.testing.assert_close(scores[:, :6], before.label_space.class_scores(similarities))
    row = torch.from_numpy(matrix.matrix[6]).float()
    expected = F.cosine_similarity(similarities.sigmoid(), row[None, :, None, None], dim=1)
    torch.testing.assert_close(scores[:, 6], expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1}, "of the 12 properties of label_space:.* are not those that checkpoint:.* knows: '"),
        ({"properties": 10}, "has 10 properties in 384 dimensions, checkpoint:.* knows 12 properties in 384"),
    ],
)
def test_other_properties_are_refused(
    settings: Mapping[str, int], message: str, store: Store, street: Artifact, tmp_path: Path
) -> None:
    other = make_label_space(store, STREET, tmp_path, **settings)
    with pytest.raises(InputError, match=f"{message}.*: expected the label space that it was trained with"):
        apply(store, make_checkpoint_for(store, street), other)


def test_network_without_properties_is_refused(store: Store, street: Artifact) -> None:
    with pytest.raises(InputError, match=r"checkpoint:.* was trained with one-hot labels: it knows its own classes"):
        apply(store, make_checkpoint(store, one_hot=True), street)


def test_data_set_is_named_where_there_are_several(store: Store, street: Artifact, tmp_path: Path) -> None:
    joint = make_joint_label_space(store, {"streets": STREET, "more": {**NEW, **STREET}}, tmp_path, properties=12)
    with pytest.raises(InputError, match="dataset '': expected one of more, streets"):
        apply(store, make_checkpoint_for(store, street), joint)
    with pytest.raises(InputError, match="dataset 'streets': it is of a single data set, so that none can be named"):
        apply(store, make_checkpoint_for(store, street), street, "streets")
