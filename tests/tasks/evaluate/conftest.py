"""A small real network with random weights, published in the store as a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from artifacts import Artifact, Store
from tests.checkpoints import make_checkpoint


@pytest.fixture(scope="session")
def publish_checkpoint(store: Store) -> Callable[[tuple[str, ...]], Artifact]:
    """Publishes the network as if it had been trained on classes of the given names."""
    return partial(make_checkpoint, store)


@pytest.fixture(scope="session")
def checkpoint(store: Store) -> Artifact:
    return make_checkpoint(store)
