"""The compiled kernels as operators of torch: for autograd, autocast, torch.compile and torch.export.

`prolab::deformable_attention` takes locations and weights, or with a reference raw offsets and logits, and then
softmax and locations are computed in the kernel, forward and backward. `sizes` are height and width of one level after
the other, as integers, so that no GPU is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ops import library

_INPUTS = "Tensor value, SymInt[] sizes, Tensor? reference, Tensor positions, Tensor scores"
_FORWARD = "prolab::deformable_attention"
_BACKWARD = "prolab::deformable_attention_backward"

_operators = torch.library.Library("prolab", "DEF")
_operators.define(f"deformable_attention({_INPUTS}) -> Tensor")
_operators.define(f"deformable_attention_backward(Tensor grad_output, {_INPUTS}) -> (Tensor, Tensor, Tensor)")


def _kernel(value: Tensor, positions: Tensor) -> library.Kernel:
    if not library.has_kernel(value, positions):
        raise RuntimeError(
            f"no compiled deformable attention for values {tuple(value.shape)} of {value.dtype} on {value.device} "
            f"and positions {tuple(positions.shape)}"
        )
    return library.kernel_for(value)


def _forward(
    value: Tensor, sizes: Sequence[int], reference: Tensor | None, positions: Tensor, scores: Tensor
) -> Tensor:
    return library.forward(_kernel(value, positions), value, sizes, reference, positions, scores)


def _backward(
    grad_output: Tensor,
    value: Tensor,
    sizes: Sequence[int],
    reference: Tensor | None,
    positions: Tensor,
    scores: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    return library.backward(_kernel(value, positions), grad_output, value, sizes, reference, positions, scores)


for _device in ("CPU", "CUDA"):
    _operators.impl("deformable_attention", _forward, _device)
    _operators.impl("deformable_attention_backward", _backward, _device)


@torch.library.register_fake(_FORWARD, lib=_operators)
def _forward_shape(
    value: Tensor, sizes: Sequence[int], reference: Tensor | None, positions: Tensor, scores: Tensor
) -> Tensor:
    B, _, M, D = value.shape
    return value.new_empty(B, positions.shape[1], M * D)


@torch.library.register_fake(_BACKWARD, lib=_operators)
def _backward_shapes(
    grad_output: Tensor,
    value: Tensor,
    sizes: Sequence[int],
    reference: Tensor | None,
    positions: Tensor,
    scores: Tensor,
) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in (value, positions, scores))


def deformable_attention(
    value: Tensor, sizes: Sequence[int], reference: Tensor | None, positions: Tensor, scores: Tensor
) -> Tensor:
    """The operator, called: (B, Q, M * D) of value's type."""
    output: Tensor = torch.ops.prolab.deformable_attention(value, sizes, reference, positions, scores)
    return output


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    value, ctx.sizes, reference, positions, scores = inputs
    if reference is not None and reference.requires_grad:
        raise RuntimeError("deformable attention with offsets has no gradient for the reference points")
    ctx.save_for_backward(value, reference, positions, scores)


def _differentiate(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    value, reference, positions, scores = ctx.saved_tensors
    gradients = torch.ops.prolab.deformable_attention_backward(
        grad_output, value, ctx.sizes, reference, positions, scores
    )
    grad_value, grad_positions, grad_scores = gradients
    return grad_value, None, None, grad_positions, grad_scores


def _refuse_twice(ctx: Any, *gradients: Tensor) -> None:
    raise RuntimeError("deformable attention cannot be differentiated twice")


def _refuse_vmap(*_: Any) -> None:
    raise RuntimeError("deformable attention does not work under vmap; it takes a batch of images as it is")


torch.library.register_autograd(_FORWARD, _differentiate, setup_context=_save, lib=_operators)
torch.library.register_autograd(_BACKWARD, _refuse_twice, lib=_operators)
for _name in (_FORWARD, _BACKWARD):
    torch.library.register_vmap(_name, _refuse_vmap, lib=_operators)
