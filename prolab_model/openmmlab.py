"""The one door to mmcv and mmsegmentation: fills two gaps before their first import, then hands on what we use.

mmcv-full 1.7.2 installs without its compiled operators and imports torchvision for a list of
model addresses; neither is needed here, and both are missing in an ordinary environment.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
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
    package = importlib.util.find_spec("mmcv")
    if package is None or package.submodule_search_locations is None:
        raise ModuleNotFoundError("mmcv-full 1.7.2 is not installed: pip install 'mmcv-full==1.7.2'")
    if PathFinder.find_spec("mmcv._ext", list(package.submodule_search_locations)) is None:
        _stand_in(_MissingOperators("mmcv._ext"))
    without_torchvision = importlib.util.find_spec("torchvision") is None
    if without_torchvision:
        _stand_in(ModuleType("torchvision"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module("mmcv.runner")
            import_module("mmseg.models")
    finally:
        if without_torchvision:
            # Left in place, transformers would take the stand-in for the real torchvision.
            del sys.modules["torchvision"]


_import_mmcv()

from mmcv.cnn import ConvModule
from mmcv.parallel.registry import MODULE_WRAPPERS
from mmcv.runner import Hook, IterBasedRunner, get_dist_info
from mmcv.utils import ConfigDict
from mmseg.core.evaluation.metrics import total_area_to_metrics
from mmseg.datasets.pipelines import Compose, Normalize, PhotoMetricDistortion, RandomCrop, RandomFlip, Resize
from mmseg.models import build_segmentor
from mmseg.models.builder import BACKBONES, HEADS, SEGMENTORS
from mmseg.models.decode_heads import DepthwiseSeparableASPPHead, FCNHead, SegformerHead, UPerHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder

__all__ = [
    "BACKBONES",
    "HEADS",
    "MODULE_WRAPPERS",
    "SEGMENTORS",
    "BaseDecodeHead",
    "Compose",
    "ConfigDict",
    "ConvModule",
    "DepthwiseSeparableASPPHead",
    "EncoderDecoder",
    "FCNHead",
    "Hook",
    "IterBasedRunner",
    "Normalize",
    "PhotoMetricDistortion",
    "RandomCrop",
    "RandomFlip",
    "Resize",
    "SegformerHead",
    "UPerHead",
    "build_segmentor",
    "get_dist_info",
    "total_area_to_metrics",
]
