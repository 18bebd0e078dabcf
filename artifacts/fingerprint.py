"""A hash of code that does not see comments, docstrings and formatting."""

from __future__ import annotations

from collections.abc import Sequence


def code_fingerprint(sources: Sequence[str]) -> str:
    """Hash the code of packages and modules, named as in `import`, without importing them.

    A package counts with every module below it, and with its C++ and CUDA sources, by their bytes.

    Raises:
        StoreError: a name is no module.
    """
    raise NotImplementedError
