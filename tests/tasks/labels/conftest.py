"""Label spaces of street scenes, of one data set and of two."""

from __future__ import annotations

import pytest

from artifacts import Artifact, Store
from tests.label_spaces import STREET, make_joint_label_space, make_label_space


@pytest.fixture(scope="session")
def street(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_label_space(store, STREET, tmp_path_factory.mktemp("street"))


@pytest.fixture(scope="session")
def joint(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The classes of roads and of plants; both data sets have a bush."""
    datasets = {
        "roads": {name: STREET[name] for name in ("road", "sidewalk", "bush")},
        "plants": {name: STREET[name] for name in ("tree", "bush")},
    }
    return make_joint_label_space(store, datasets, tmp_path_factory.mktemp("joint"), 9)
