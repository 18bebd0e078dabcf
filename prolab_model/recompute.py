"""Parts of the network that are computed again in the backward pass, so that less is kept until then."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_inside = ContextVar("inside", default=False)


def recompute(function: Callable[..., Tensor], *arguments: object) -> Tensor:
    """`function(*arguments)`, of which only `arguments` are kept for the backward pass.

    The second run stops as soon as it has what the backward pass wants: a linear layer that comes
    last is not run again. Random numbers are the first run's. What is called from within
    `function` is not recomputed once more, and a compiler makes such choices itself.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or _inside.get():
        return function(*arguments)
    output: Tensor = checkpoint(_run_inside, function, *arguments, use_reentrant=False)
    return output


def _run_inside(function: Callable[..., Tensor], *arguments: object) -> Tensor:
    token = _inside.set(True)
    try:
        return function(*arguments)
    finally:
        _inside.reset(token)
