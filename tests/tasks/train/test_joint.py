"""One network for several data sets, with a label space that they share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from artifacts import Artifact, Store
from prolab_model.checkpoint import KnownDataset, load_model, read_card
from tasks import evaluate, index, train
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.label_space import read_class_matrices
from tasks.progress import SilentProgress
from tasks.train import TrainParams
from tasks.train.training_set import read_training_set
from tests.label_spaces import make_joint_label_space
from tests.squares import CLASSES, draw_squares
from tests.training import SETTINGS, curve_of

MEADOWS = dict(
    zip(
        CLASSES,
        (["Covered in grass", "Flat open ground"], ["Made of red brick", "Sharp corners"], ["Filled with water"]),
        strict=True,
    )
)
FIELDS = {
    "lawn": ["Covered in grass", "Neatly mown"],
    "barn": ["Made of red brick", "Large gate at the front"],
    "lake": ["Filled with water", "Wide open surface"],
}


def make_dataset(store: Store, root: Path, classes: tuple[str, ...]) -> Artifact:
    """The coloured squares with other names."""
    config = draw_squares(root)
    config.write_text(config.read_text().replace(repr(CLASSES), repr(classes)))
    params = index.IndexParams(config=config, root=root)
    return run_stage(index.STAGE, params, {}, store, SilentProgress()).artifact


@pytest.fixture(scope="module")
def fields(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_dataset(store, tmp_path_factory.mktemp("fields"), tuple(FIELDS))


@pytest.fixture(scope="module")
def joint(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    datasets = {"meadows": MEADOWS, "fields": FIELDS}
    return make_joint_label_space(store, datasets, tmp_path_factory.mktemp("joint"), 5)


@pytest.fixture(scope="module")
def checkpoint(store: Store, small_model: Path, dataset: Artifact, fields: Artifact, joint: Artifact) -> Artifact:
    return run(store, small_model, {"meadows": dataset, "fields": fields}, joint)


def make_params(model: Path) -> TrainParams:
    return TrainParams.model_validate(
        {"model": model, **SETTINGS, "base_sizes": {"fields": (96, 64)}, "validate_every": 12}
    )


def run(store: Store, model: Path, datasets: dict[str, Artifact], label_space: Artifact) -> Artifact:
    params = make_params(model)
    stage = train.joint_stage(list(datasets))
    return run_stage(stage, params, {**datasets, "label_space": label_space}, store, SilentProgress()).artifact


def test_the_network_learns_the_classes_of_both(checkpoint: Artifact, joint: Artifact) -> None:
    losses = checkpoint.table("metrics.parquet").to_pandas().query("name == 'loss'")["value"].to_list()
    assert losses[-1] < losses[0]
    card = read_card(checkpoint.path)
    assert card.classes == (*CLASSES, *FIELDS)
    assert card.datasets == {
        "meadows": KnownDataset(first_class=0, classes=3),
        "fields": KnownDataset(first_class=3, classes=3, base_size=(96, 64)),
    }
    for item in read_class_matrices(joint):
        segmentor, own = load_model(checkpoint.path, item.dataset)
        assert own.classes == item.classes
        np.testing.assert_array_equal(segmentor.label_space.class_matrix.numpy(), item.matrix)


def test_each_data_set_is_measured_by_its_own_classes(
    store: Store, checkpoint: Artifact, dataset: Artifact, fields: Artifact
) -> None:
    mious = []
    for data, classes in ((dataset, CLASSES), (fields, FIELDS)):
        inputs = {"checkpoint": checkpoint, "dataset": data}
        evaluation = run_stage(evaluate.STAGE, evaluate.EvaluateParams(), inputs, store, SilentProgress()).artifact
        assert evaluation.table("per_class.parquet")["name"].to_pylist() == list(classes)
        mious.append(evaluation.manifest.summary["miou"])
    (on_the_way,) = curve_of(checkpoint, "miou")
    assert 100 * on_the_way == pytest.approx(np.mean(mious), abs=0.01)


def test_a_data_set_that_it_was_not_trained_on_is_refused(store: Store, checkpoint: Artifact, tmp_path: Path) -> None:
    other = make_dataset(store, tmp_path, ("one", "two", "three"))
    inputs = {"checkpoint": checkpoint, "dataset": other}
    message = "trained on meadows, fields, none of which has the data set's classes: one, two, three"
    with pytest.raises(InputError, match=message):
        run_stage(evaluate.STAGE, evaluate.EvaluateParams(), inputs, store, SilentProgress())


def test_data_sets_of_the_same_classes_share_them(store: Store, dataset: Artifact, fields: Artifact) -> None:
    both = read_training_set({"meadows": dataset, "fields": fields, "more": dataset}, make_params(Path("model.py")))
    assert both.classes == (*CLASSES, *FIELDS)
    assert both.datasets["more"] == both.datasets["meadows"]
    assert both.groups == (CLASSES, tuple(FIELDS))
    assert both.class_pixels.tolist() == [*(2 * both.class_pixels[3:]), *both.class_pixels[3:]]
    assert [sample.first_class for sample in both.samples] == [0, 0, 3, 3, 0, 0]
    assert [sample.base_size for sample in both.samples] == [None, None, (96, 64), (96, 64), None, None]


def test_a_base_size_of_no_data_set_is_named(dataset: Artifact) -> None:
    with pytest.raises(InputError, match=r"train\.base_sizes: fields: expected data sets among dataset"):
        read_training_set({"dataset": dataset}, make_params(Path("model.py")))


def test_one_hot_labels_cannot_be_shared(
    store: Store, small_model: Path, dataset: Artifact, fields: Artifact, joint: Artifact, tmp_path: Path
) -> None:
    model = tmp_path / "one_hot.py"
    model.write_text(f"_base_ = {str(small_model)!r}\nmodel = dict(label_space=dict(_delete_=True, kind='one_hot'))\n")
    with pytest.raises(InputError, match="one-hot labels, which say nothing of what the classes of meadows, fields"):
        run(store, model, {"meadows": dataset, "fields": fields}, joint)


def test_classes_without_a_description_are_named(
    store: Store, small_model: Path, dataset: Artifact, joint: Artifact, tmp_path: Path
) -> None:
    other = make_dataset(store, tmp_path, ("one", "two", "three"))
    with pytest.raises(InputError, match=r"does not describe the data set.s classes\. Expected: one, two, three"):
        run(store, small_model, {"meadows": dataset, "fields": other}, joint)


def test_a_label_space_of_one_data_set_serves_several_of_its_classes(
    store: Store, small_model: Path, dataset: Artifact, label_space: Artifact, tmp_path: Path
) -> None:
    again = make_dataset(store, tmp_path, CLASSES)
    checkpoint = run(store, small_model, {"meadows": dataset, "fields": again}, label_space)
    card = read_card(checkpoint.path)
    assert card.classes == CLASSES
    assert [known.first_class for known in card.datasets.values()] == [0, 0]
    assert load_model(checkpoint.path, "fields")[1].classes == CLASSES
