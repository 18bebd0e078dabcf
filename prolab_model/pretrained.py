"""Pretrained weights of a backbone, and a report of what became of each tensor.

Names of transformers with adapter are translated and their positions resized; other backbones (mmsegmentation's)
take their tensors by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from scipy.interpolate import RectBivariateSpline
from torch import Tensor, nn

from prolab_model.adapter_backbone import AdapterBackbone
from prolab_model.beit_adapter import BEiTAdapter
from prolab_model.relative_position import CLASS_ROWS, offsets
from prolab_model.resampling import Size
from prolab_model.torch_file import read_torch_file
from prolab_model.vit import resize_position_embedding
from prolab_model.vit_adapter import ViTAdapter

TIMM = "timm:"

_WRAPPERS = ("state_dict", "model", "module")
_PREFIXES = re.compile(r"(module\.|encoder\.|backbone\.)+")
_TRANSFORMER = ("patch_embed.", "pos_embed", "cls_token", "blocks.")
_TABLE = "relative_position_bias_table"
_SHARED_TABLE = f"rel_pos_bias.{_TABLE}"
# What a network computes itself: BEiT's look-up tables, and the steps that a batch norm was trained for.
_DERIVED = ("relative_position_index", "num_batches_tracked")

Array = npt.NDArray[np.float64]


class PretrainedError(ValueError):
    """A file of weights cannot be read, or does not fit the network: says what was expected and what came."""


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file of weights.

    Attributes:
        matched: names in the network that took their tensor as it was.
        resized: names whose tensor was interpolated to another grid.
        missing: names in the network, but for the adapter's, that the file has not.
        unused: names in the file that the network has no place for.
        derived: names in the file of what the network computes itself.
    """

    matched: tuple[str, ...]
    resized: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    derived: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line for the log; names in full where something did not match."""
        parts = [f"{len(self.matched)} tensors matched"]
        for label in ("resized", "missing", "unused"):
            if names := getattr(self, label):
                parts.append(f"{len(names)} {label} ({', '.join(names)})")
        if self.derived:
            parts.append(f"{len(self.derived)} derived")
        return ", ".join(parts)


def read_weights(source: Path | str) -> dict[str, Tensor]:
    """Read weights by path, or by timm's name of a model where timm is installed.

    Args:
        source: a safetensors file, a PyTorch file (loaded with `weights_only=True`), or
            `timm:` and a name, as in `timm:vit_base_patch16_224.augreg_in21k`.

    Raises:
        FileNotFoundError: when there is no such file.
        ModuleNotFoundError: when a name is given and timm is not installed.
        PretrainedError: when the file is damaged or holds no tensors by name, or timm cannot get the model.
    """
    if str(source).startswith(TIMM):
        return _read_timm(str(source).removeprefix(TIMM))
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"pretrained weights: no file {path}")
    try:
        weights = load_file(path) if path.suffix == ".safetensors" else read_torch_file(path)
    except (SafetensorError, ValueError) as error:
        raise PretrainedError(f"pretrained weights: {path} cannot be read: {error}") from error
    for wrapper in _WRAPPERS:
        if isinstance(weights, Mapping) and isinstance(weights.get(wrapper), Mapping):
            weights = weights[wrapper]
    if not isinstance(weights, Mapping):
        raise PretrainedError(f"pretrained weights: {path} holds {type(weights).__name__}, not tensors by name")
    tensors = {name.removeprefix("module."): value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise PretrainedError(f"pretrained weights: {path} holds no tensors by name")
    return tensors


def _read_timm(name: str) -> dict[str, Tensor]:
    try:
        timm = import_module("timm")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"pretrained weights: {TIMM}{name}: {error}: pip install 'prolab-pipeline[timm]', with torchvision of the "
            "same build as torch; or give the path of a file"
        ) from error
    try:
        tensors: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    except (OSError, RuntimeError) as error:
        raise PretrainedError(f"pretrained weights: timm cannot get {name}: {error}") from error
    return tensors


def load_pretrained(backbone: nn.Module, weights: Mapping[str, Tensor], grid: Size | None = None) -> LoadReport:
    """Copy weights into `backbone`, all of them or, on an error, none.

    For a transformer with adapter, names may be those of DeiT, BEiT, BEiTv2 or timm. Position embeddings of another
    grid are resized (bicubic), tables of relative positions as BEiT's authors do (`resize_table`); a table that
    all blocks share is copied to each. Another backbone takes its own names, as mmsegmentation's files have them.
    The prefixes `module.`, `encoder.` and `backbone.` do not matter.

    Args:
        backbone: what is to be filled; an adapter stays as it is.
        weights: tensors by name, see `read_weights`.
        grid: (rows, columns) of patches that the weights were trained with, where it is not square.

    Raises:
        PretrainedError: when a tensor's shape does not fit, when the weights are of another depth, or
            when fewer than half of the network's tensors are found.
    """
    own = _wanted(backbone)
    found: dict[str, Tensor] = {}
    report: dict[str, list[str]] = {"matched": [], "resized": [], "missing": [], "unused": [], "derived": []}
    for name, value in weights.items():
        targets = [target for target in _targets(name, backbone) if target in own]
        if not targets:
            report["derived" if name.endswith(_DERIVED) else "unused"].append(name)
        for target in targets:
            if target in found:
                raise PretrainedError(f"pretrained weights: {name} is a second tensor for {target}")
            found[target] = _fitted(name, value, target, own[target], backbone, grid)
            report["matched" if found[target] is value else "resized"].append(target)
    missing = report["missing"] = [name for name in own if name not in found]
    _check_depths(map(_plain, weights), own)
    if len(missing) > len(own) / 2:
        raise PretrainedError(
            f"pretrained weights fit another network: {len(missing)} of {len(own)} tensors are missing, "
            f"{missing[0]} first; the file has {', '.join(list(weights)[:5])} ..."
        )
    for name, value in found.items():
        own[name].copy_(value)
    return LoadReport(**{label: tuple(names) for label, names in report.items()})


def _wanted(backbone: nn.Module) -> dict[str, Tensor]:
    """What pretrained weights are wanted for: of a network with adapter, the transformer."""
    prefixes = _TRANSFORMER if isinstance(backbone, AdapterBackbone) else ""
    state = backbone.state_dict()
    return {name: state[name] for name in state if name.startswith(prefixes) and not name.endswith(_DERIVED)}


def _plain(name: str) -> str:
    return _PREFIXES.sub("", name, count=1) if _PREFIXES.match(name) else name


def _targets(name: str, backbone: nn.Module) -> Iterator[str]:
    """Names in the network that a name in a file stands for."""
    name = _plain(name)
    if not isinstance(backbone, AdapterBackbone):
        yield name
    elif name == _SHARED_TABLE:
        yield from (f"blocks.{block}.attn.{_TABLE}" for block in range(len(backbone.blocks)))
    else:
        gamma = ".gamma_" if isinstance(backbone, BEiTAdapter) else ".gamma"
        yield re.sub(r"\.(?:ls([12])\.gamma|gamma_?([12]))$", lambda found: gamma + (found[1] or found[2]), name)


def _fitted(name: str, value: Tensor, target: str, wanted: Tensor, backbone: nn.Module, grid: Size | None) -> Tensor:
    """The tensor `value` itself, or its positions resized to the network's grid."""
    if target == "pos_embed" and isinstance(backbone, ViTAdapter):
        value = _fitted_positions(name, value, backbone, grid)
    elif target.endswith(_TABLE) and isinstance(backbone, BEiTAdapter):
        value = _fitted_table(name, value, backbone, grid)
    if value.shape == wanted.shape:
        return value
    if target == "patch_embed.proj.weight" and value.ndim == 4 and value.shape[2:] != wanted.shape[2:]:
        raise PretrainedError(
            f"pretrained weights: {name} is for patches of {value.shape[2]} x {value.shape[3]} pixels, the network's "
            f"have {wanted.shape[2]} x {wanted.shape[3]}; shapes {tuple(value.shape)} and {tuple(wanted.shape)}"
        )
    raise PretrainedError(
        f"pretrained weights: {name} has shape {tuple(value.shape)}, the network needs {tuple(wanted.shape)}"
    )


def _fitted_positions(name: str, value: Tensor, backbone: ViTAdapter, grid: Size | None) -> Tensor:
    """Position embedding (1, extra + N, D) on the network's grid, the class token's entry first."""
    if value.ndim != 3:
        return value
    length = value.shape[1]
    # A class token, as a rule; none in some of timm's; a second, for distillation, in some of DeiT's.
    for extra in (1, 0, 2):
        source = grid or (math.isqrt(max(length - extra, 0)),) * 2
        if source[0] * source[1] == length - extra:
            break
    else:
        raise PretrainedError(
            f"pretrained weights: {name} has {length} positions, which are no {_grid_name(grid)} "
            "and at most 2 further tokens"
        )
    if extra == 1 and source == backbone.pretrain_grid:
        return value
    patches = resize_position_embedding(value[:, extra:].float(), source, backbone.pretrain_grid)
    first = value[:, :1].float() if extra else torch.zeros_like(patches[:, :1])
    return torch.cat([first, patches], dim=1)


def _fitted_table(name: str, value: Tensor, backbone: BEiTAdapter, grid: Size | None) -> Tensor:
    """Table of relative positions (rows, heads) for the network's grid."""
    if value.ndim != 2:
        return value
    side = math.isqrt(len(value) - CLASS_ROWS)
    source = offsets(grid) if grid else (side, side)
    if source[0] * source[1] + CLASS_ROWS != len(value):
        raise PretrainedError(
            f"pretrained weights: {name} has {len(value)} rows, which are not {CLASS_ROWS} and the offsets of a "
            f"{_grid_name(grid)}"
        )
    target = offsets(backbone.grid)
    return value if source == target else resize_table(value, source, target)


def _grid_name(grid: Size | None) -> str:
    return f"grid of {grid[0]} x {grid[1]}" if grid else "square grid (give rows and columns of another)"


def _check_depths(names: Iterable[str], own: Iterable[str]) -> None:
    """Refuse weights of a deeper or shallower network, most of whose names would fit."""
    theirs, ours = _depths(names), _depths(own)
    for stack, last in ours.items():
        if theirs.get(stack, last) != last:
            raise PretrainedError(
                f"pretrained weights are of another depth: the last of their {stack} is {stack}.{theirs[stack]}, "
                f"the network's is {stack}.{last}"
            )


def _depths(names: Iterable[str]) -> dict[str, int]:
    """Highest index in each numbered sequence: 5 for `layer3` if `layer3.5.conv1.weight` is the last."""
    depths: dict[str, int] = {}
    for name in names:
        for index in re.finditer(r"\.(\d+)(?=\.)", name):
            stack = name[: index.start()]
            depths[stack] = max(int(index[1]), depths.get(stack, 0))
    return depths


def resize_table(table: Tensor, source: Size, target: Size) -> Tensor:
    """Resize a table of relative positions as BEiT's fine-tuning does (spec 2.8).

    Near offsets keep their meaning and far ones are stretched: the known offsets lie at
    geometrically growing distances, and a cubic spline is read at every integer.

    Args:
        table: (source rows * columns + 3, heads); the last three, the class token's, stay.
        source: (rows, columns) of different offsets, 2 * grid - 1 each.
        target: the same for the grid wanted.

    Returns:
        (target rows * columns + 3, heads).
    """
    patches = table[:-CLASS_ROWS].double().numpy().reshape(*source, -1)
    heads = [torch.from_numpy(_resample(patches[..., head], target)).flatten() for head in range(table.shape[1])]
    return torch.cat([torch.stack(heads, dim=1).to(table.dtype), table[-CLASS_ROWS:]])


def _resample(values: Array, target: Size) -> Array:
    known = [_distances(source, wanted) for source, wanted in zip(values.shape, target, strict=True)]
    wanted = [
        np.arange(-(side // 2), side // 2 + 1.0).clip(axis[0], axis[-1])
        for side, axis in zip(target, known, strict=True)
    ]
    degrees = [min(3, side - 1) for side in values.shape]
    spline = RectBivariateSpline(*known, values, kx=degrees[0], ky=degrees[1])
    resampled: Array = spline(*wanted)
    return resampled


def _distances(source: int, target: int) -> Array:
    """Where `source` offsets lie among `target` ones, 0 in the middle."""
    ratio = 1.0 if source == target else growth(source // 2, target // 2)
    outwards = np.cumsum(ratio ** np.arange(source // 2))
    return np.concatenate([-outwards[::-1], [0.0], outwards])


def growth(steps: int, distance: int) -> float:
    """Ratio q, between 1.01 and 1.5, with which 1 + q + ... + q**(steps - 1) comes to `distance`."""
    low = ratio = 1.01
    high = 1.5
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (1 - ratio**steps) / (1 - ratio) > distance:
            high = ratio
        else:
            low = ratio
    return ratio
