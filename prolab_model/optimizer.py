"""Parameter groups with layer-wise learning rates (spec 2.9)."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

_EMBEDDING = ("backbone.patch_embed.", "backbone.pos_embed", "backbone.cls_token")


def layer_decay_groups(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    decay_rate: float,
    depth: int,
    adapter_multiplier: float = 1.0,
) -> list[dict[str, Any]]:
    """Optimizer groups: the deeper a transformer block, the nearer its learning rate to the full one.

    Group 0 is the patch and position embedding and the class token, group i + 1 block i, group depth + 1 everything
    else. One-dimensional parameters are not decayed.

    Args:
        model: a segmentor.
        learning_rate: of the transformer's last group.
        weight_decay: of the decayed parameters.
        decay_rate: factor from one layer to the one before it.
        depth: number of the backbone's transformer blocks; 0 for a backbone of another kind, which is one layer.
        adapter_multiplier: learning rate of adapter and heads relative to `learning_rate`.
    """
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    last = depth + 1
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = _layer(name, depth)
        decayed = parameter.ndim > 1 and not name.endswith(".bias")
        scale = adapter_multiplier if layer == last else decay_rate ** (last - layer)
        group = groups.setdefault(
            (layer, decayed),
            {"params": [], "lr": learning_rate * scale, "weight_decay": weight_decay if decayed else 0.0},
        )
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def _layer(name: str, depth: int) -> int:
    last = depth + 1
    if not depth:
        return 0 if name.startswith("backbone.") else last
    block = re.match(r"backbone\.blocks\.(\d+)\.", name)
    if block:
        return int(block[1]) + 1
    return 0 if name.startswith(_EMBEDDING) else last
