"""Parts of the network that are computed again in the backward pass, so that less is kept until then."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def recompute(function: Callable[..., Tensor], *arguments: object) -> Tensor:
    """`function(*arguments)`, of which only `arguments` are kept for the backward pass.

    The second run stops as soon as it has what the backward pass wants: a linear layer that comes
    last is not run again. Random numbers are the first run's. A compiler makes such choices itself.
    """
    output: Tensor
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        output = checkpoint(function, *arguments, use_reentrant=False)
    else:
        output = function(*arguments)
    return output
