"""A full disk is told as such."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifacts.errors import FullDiskError

_FULL_BYTES = 64 * 1024


@contextmanager
def full_disk_named(root: Path) -> Iterator[None]:
    """Raise `FullDiskError` for whatever goes wrong because the disk of the store is full."""
    try:
        yield
    except FullDiskError:
        raise
    except Exception as error:
        # Not every library says ENOSPC: torch and safetensors raise errors of their own.
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        free = shutil.disk_usage(root).free
        if not full and free >= _FULL_BYTES:
            raise
        raise FullDiskError(f"no room to write in the store {root} ({free:,} bytes free): {error}") from error
