"""Pretrained transformer weights: translated names, resized position embeddings, and a report of what matched."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from prolab_model.vit import resize_position_embedding
from prolab_model.vit_adapter import ViTAdapter

TRANSFORMER_PREFIXES = ("patch_embed.", "pos_embed", "blocks.")


@dataclass(frozen=True)
class LoadReport:
    """What became of the tensors of a file of weights.

    Attributes:
        matched: names in the network that took their tensor as it was.
        resized: names whose tensor was interpolated to another grid.
        missing: names of the network's transformer that the file has not.
        unused: names in the file that the network has no place for.
    """

    matched: tuple[str, ...]
    resized: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]

    def __str__(self) -> str:
        """One line for the log; names in full where something did not match."""
        parts = [f"{len(self.matched)} tensors matched"]
        for label, names in (("resized", self.resized), ("missing", self.missing), ("unused", self.unused)):
            if names:
                parts.append(f"{len(names)} {label} ({', '.join(names)})")
        return ", ".join(parts)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a file of weights: safetensors, or a PyTorch file loaded with `weights_only=True`.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file holds no tensors by name.
    """
    if not path.is_file():
        raise FileNotFoundError(f"pretrained weights: no file {path}")
    weights = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    for wrapper in ("state_dict", "model"):
        if isinstance(weights.get(wrapper), Mapping):
            weights = weights[wrapper]
    tensors = {name.removeprefix("module."): value for name, value in weights.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ValueError(f"pretrained weights: {path} holds no tensors by name")
    return tensors


def load_pretrained_vit(backbone: ViTAdapter, weights: Mapping[str, Tensor]) -> LoadReport:
    """Copy a ViT's weights, by timm's or DeiT's names, into the transformer of `backbone`.

    Position embeddings of another grid are resized; layer scales are taken over.

    Raises:
        ValueError: when a tensor's shape does not fit, or fewer than half of the transformer's tensors are found.
    """
    own = {name: value for name, value in backbone.state_dict().items() if name.startswith(TRANSFORMER_PREFIXES)}
    matched, resized, unused = [], [], []
    for name, value in weights.items():
        target = re.sub(r"\.ls([12])\.gamma$", r".gamma\1", name)
        if target not in own:
            unused.append(name)
            continue
        if target == "pos_embed" and value.shape[1] != own[target].shape[1]:
            value = _resize_with_class_token(value, own[target].shape[1])
            resized.append(target)
        else:
            matched.append(target)
        if value.shape != own[target].shape:
            raise ValueError(
                f"pretrained weights: {name} has shape {tuple(value.shape)}, "
                f"the network needs {tuple(own[target].shape)}"
            )
        own[target].copy_(value)
    missing = [name for name in own if name not in {*matched, *resized}]
    if len(missing) > len(own) / 2:
        raise ValueError(
            f"pretrained weights fit another network: {len(missing)} of {len(own)} tensors are missing, "
            f"{missing[0]} first; the file has {', '.join(list(weights)[:5])} ..."
        )
    return LoadReport(tuple(matched), tuple(resized), tuple(missing), tuple(unused))


def _resize_with_class_token(tokens: Tensor, length: int) -> Tensor:
    """Position embedding (1, 1 + G * G, D) to (1, length, D), its first token kept."""
    source, grid = math.isqrt(tokens.shape[1] - 1), math.isqrt(length - 1)
    return torch.cat([tokens[:, :1], resize_position_embedding(tokens[:, 1:], (source, source), (grid, grid))], dim=1)
