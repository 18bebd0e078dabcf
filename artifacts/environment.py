"""Where an artifact was made: for the record, no part of any key."""

from __future__ import annotations

import platform
import sys

from artifacts.manifest import Environment

_PACKAGES = (
    "FlagEmbedding",
    "llama_cpp",
    "mmcv",
    "mmseg",
    "numpy",
    "openai",
    "pyarrow",
    "scipy",
    "sentence_transformers",
    "sklearn",
    "torch",
    "transformers",
)


def environment() -> Environment:
    """Python, platform, and the versions of those packages that can change a result and are in use."""
    return Environment(
        python=platform.python_version(),
        platform=platform.platform(),
        packages={name: str(sys.modules[name].__version__) for name in _PACKAGES if name in sys.modules},
    )
