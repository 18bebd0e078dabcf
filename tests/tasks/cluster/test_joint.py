from collections.abc import Callable

import numpy as np
import pytest

from artifacts import Artifact, Store
from tasks.cluster import ClusterParams, joint_stage
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.label_space import read_class_matrices, read_properties, select_class_matrix
from tasks.progress import SilentProgress

STREET = {
    "road": [("Flat", (1, 0.1, 0)), ("Gray", (0, 1, 0))],
    "wall": [("Gray", (0, 1, 0)), ("Upright", (0, 0, 1))],
}
ROOM = {
    "wall": [("Standing up", (0, 0.1, 1)), ("Gray", (0, 1, 0))],
    "floor": [("Very flat", (1, 0, 0.1))],
    "lamp": [("Upright", (0, 0, 1))],
}


@pytest.fixture
def join(store: Store) -> Callable[..., Artifact]:
    def run(**embeddings: Artifact) -> Artifact:
        params = ClusterParams(properties=3)
        return run_stage(joint_stage(list(embeddings)), params, embeddings, store, SilentProgress()).artifact

    return run


def test_data_sets_share_properties_and_have_a_class_matrix_each(
    embed: Callable[..., Artifact], join: Callable[..., Artifact]
) -> None:
    label_space = join(street=embed(STREET), room=embed(ROOM))
    assert read_properties(label_space).names == ("Flat", "Gray", "Upright")
    street, room = read_class_matrices(label_space)
    assert (street.dataset, street.classes) == ("street", ("road", "wall"))
    assert (room.dataset, room.classes) == ("room", ("wall", "floor", "lamp"))
    np.testing.assert_array_equal(street.matrix, [[1, 1, 0], [0, 1, 1]])
    np.testing.assert_array_equal(room.matrix, [[0, 1, 1], [1, 0, 0], [0, 0, 1]])
    # The walls have the same properties, and need not be told apart: no photo has both.
    assert label_space.manifest.summary["identical_classes"] == 0

    rows = label_space.table("assignments.parquet").to_pylist()
    assert [(row["dataset"], row["class_id"]) for row in rows][3:6] == [("street", 1), ("room", 2), ("room", 2)]
    assert "wall (street)" in label_space.file("report.html").read_text()


def test_the_class_matrix_is_found_by_the_classes(
    embed: Callable[..., Artifact], join: Callable[..., Artifact]
) -> None:
    label_space = join(street=embed(STREET), room=embed(ROOM))
    assert select_class_matrix(label_space, ["wall", "floor", "lamp"]).dataset == "room"
    with pytest.raises(
        InputError, match=r"Expected: wall, lamp\. It describes street: road, wall; room: wall, floor, lamp"
    ):
        select_class_matrix(label_space, ["wall", "lamp"])


def test_what_cannot_be_joined(embed: Callable[..., Artifact], join: Callable[..., Artifact]) -> None:
    with pytest.raises(InputError, match="a and b have the same classes"):
        join(a=embed(STREET), b=embed({name: phrases[:1] for name, phrases in STREET.items()}))
    with pytest.raises(InputError, match="expected embeddings by one encoder with the same settings"):
        join(a=embed(STREET), b=embed(ROOM, encoder="another"))
    with pytest.raises(InputError, match="two or more data sets"):
        joint_stage(["alone"])
