import multiprocessing
import sys
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

# The tests, and the processes that they start, import `thing` and `store_processes` from this folder.
sys.path.insert(0, str(Path(__file__).parent))

from artifacts import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Real processes that start within milliseconds: a server that has all imports forks them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["artifacts.publish", "store_processes"])
    return context
