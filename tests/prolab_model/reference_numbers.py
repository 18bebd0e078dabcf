"""Numbers that the reference gives for networks filled by a rule (spec, appendix A)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def fill(network: nn.Module, names: Sequence[str]) -> None:
    """Fill parameters and buffers by the rule; `names` are all keys of the reference's state_dict."""
    tensors = network.state_dict()
    for i, name in enumerate(sorted(names)):
        tensor = tensors.get(name)
        if tensor is None or not tensor.is_floating_point():
            continue
        j = torch.arange(tensor.numel(), dtype=torch.float64)
        last = name.rpartition(".")[2]
        if last == "running_var":
            values = 1 + 0.5 * (j + i).sin() ** 2
        elif last in ("bias", "q_bias", "v_bias", "running_mean"):
            values = 0.1 * (j + i).sin()
        elif tensor.ndim == 1:
            values = 1 + 0.1 * (j + i).sin()
        else:
            values = math.sqrt(2 * len(tensor) / tensor.numel()) * (0.37 * j + i).sin()
        tensor.copy_(values.view_as(tensor))


def image(height: int, width: int) -> Tensor:
    """The image (1, 3, height, width) of the appendix."""
    return (0.05 * torch.arange(3 * height * width, dtype=torch.float64)).sin().view(1, 3, height, width)
