"""Where an artifact was made: for the record, no part of any key."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version

from artifacts.manifest import Environment

_MODULES = {
    "FlagEmbedding": "FlagEmbedding",
    "llama-cpp-python": "llama_cpp",
    "mmcv-full": "mmcv",
    "mmsegmentation": "mmseg",
    "numpy": "numpy",
    "openai": "openai",
    "pyarrow": "pyarrow",
    "scikit-learn": "sklearn",
    "scipy": "scipy",
    "sentence-transformers": "sentence_transformers",
    "torch": "torch",
    "transformers": "transformers",
}
"""The module that shows, by being loaded, that a package is in use."""


def environment() -> Environment:
    """Python, platform, and the versions of those packages that can change a result and are in use."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={package: version(package) for package, module in _MODULES.items() if module in sys.modules},
    )
