import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

# The tests, and the processes that they start, import `thing` and `store_processes` from this folder.
sys.path.insert(0, str(Path(__file__).parent))

from artifacts import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root's rights")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """Real processes that start within milliseconds: a server that has all imports forks them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["artifacts.exchange", "artifacts.publish", "store_processes"])
    return context
