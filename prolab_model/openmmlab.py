"""The one door to mmcv and mmsegmentation: fills two gaps before their first import, then hands on what we use.

mmcv-full 1.7.2 installs without its compiled operators and imports torchvision for a list of
model addresses; neither is needed here, and both are missing in an ordinary environment.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, NoReturn


class _MissingOperators(ModuleType):
    """Stands in for `mmcv._ext`: any operator can be looked up, none can be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: Any, **__: Any) -> NoReturn:
            raise RuntimeError(f"mmcv's compiled operator {name!r} is not installed; ProLab does not need it")

        return missing


def _stand_in(module: ModuleType) -> None:
    """Put `module` where an import would; `build_optimizer` inspects `__spec__`, so it has one."""
    module.__spec__ = ModuleSpec(module.__name__, loader=None)
    sys.modules[module.__name__] = module


def _import_mmcv() -> None:
    mmcv = importlib.util.find_spec("mmcv")
    if mmcv is None or mmcv.submodule_search_locations is None:
        raise ModuleNotFoundError("mmcv-full 1.7.2 is not installed: pip install 'mmcv-full==1.7.2'")
    finder_path = list(mmcv.submodule_search_locations)
    if importlib.machinery.PathFinder.find_spec("mmcv._ext", finder_path) is None:
        _stand_in(_MissingOperators("mmcv._ext"))
    without_torchvision = importlib.util.find_spec("torchvision") is None
    if without_torchvision:
        _stand_in(ModuleType("torchvision"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mmcv.runner
            import mmseg.models  # noqa: F401
    finally:
        if without_torchvision:
            # Left in place, transformers would take the stand-in for the real torchvision.
            del sys.modules["torchvision"]


_import_mmcv()

from mmcv.cnn import ConvModule  # noqa: E402
from mmcv.parallel import MMDataParallel, collate  # noqa: E402
from mmcv.runner import (  # noqa: E402
    HOOKS,
    Hook,
    IterBasedRunner,
    build_runner,
    get_dist_info,
)
from mmcv.utils import ConfigDict  # noqa: E402
from mmseg.core.evaluation.metrics import total_area_to_metrics  # noqa: E402
from mmseg.datasets.builder import DATASETS, PIPELINES  # noqa: E402
from mmseg.datasets.pipelines import Compose, RandomCrop  # noqa: E402
from mmseg.models import build_segmentor  # noqa: E402
from mmseg.models.builder import BACKBONES, HEADS, SEGMENTORS  # noqa: E402
from mmseg.models.segmentors import EncoderDecoder  # noqa: E402

__all__ = [
    "BACKBONES",
    "DATASETS",
    "HEADS",
    "HOOKS",
    "PIPELINES",
    "SEGMENTORS",
    "Compose",
    "ConfigDict",
    "ConvModule",
    "EncoderDecoder",
    "Hook",
    "IterBasedRunner",
    "MMDataParallel",
    "RandomCrop",
    "build_runner",
    "build_segmentor",
    "collate",
    "get_dist_info",
    "total_area_to_metrics",
]
