"""Sums a loss over the pixels of upsampled maps, a strip of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from prolab_model.resampling import resized_rows, source_rows

PixelLosses = Callable[[Tensor, Tensor], Tensor]
"""Similarities (P, K) and labels (P,) to losses (P,)."""

Predict = Callable[[Tensor, Tensor], Tensor]
"""Similarities (P, K) and labels (P,) to class ids (P,)."""

PIXELS = 2**13  # in a strip: enough to keep the cores busy, few enough to stay in the caches


# A compiled graph cannot hold gradients that are taken in the forward pass: it ends here and goes on behind.
@torch.compiler.disable  # type: ignore[untyped-decorator]  # torch's is untyped
def sum_over_pixels(
    pixel_losses: PixelLosses,
    predict: Predict | None,
    similarities: Tensor,
    lengths: Tensor | None,
    labels: Tensor,
    weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Weighted sum of the pixels' losses, whose memory does not grow with the labels' size times K.

    Where a gradient is wanted, the forward pass computes it: each strip is upsampled,
    differentiated and forgotten.

    Args:
        pixel_losses: losses of pixels at the labels' size.
        predict: predicted classes of such pixels, or nothing where nobody asks how many are right.
        similarities: (B, K, h, w); upsampled bilinearly to the labels' size.
        lengths: (B, H, W) to divide the upsampled similarities by, or nothing.
        labels: (B, H, W), which index `weights`.
        weights: weight of a pixel of each label.

    Returns:
        The sum, and the number of pixels whose label is predicted; both scalars.
    """
    dtype = torch.promote_types(similarities.dtype, torch.float32)
    rows = similarities.permute(0, 2, 3, 1).to(dtype).contiguous()  # (B, h, w, K)
    with _full_precision(similarities.device.type):
        summed: tuple[Tensor, Tensor] = _SumOverStrips.apply(  # type: ignore[no-untyped-call]  # torch's is untyped
            pixel_losses, predict, rows, lengths, labels, weights.to(dtype)
        )
    return summed


def _full_precision(device: str) -> AbstractContextManager[object]:
    """Losses of thousands of pixels and scores that hardly differ are no matter for half precision."""
    # The meta device has no autocast to be switched off.
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


class _SumOverStrips(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        pixel_losses: PixelLosses,
        predict: Predict | None,
        maps: Tensor,
        lengths: Tensor | None,
        labels: Tensor,
        weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        differentiated = ctx.needs_input_grad[2]
        total, right = weights.new_zeros(()), labels.new_zeros(())
        gradients = torch.zeros_like(maps) if differentiated else None
        length_gradients = torch.zeros_like(lengths) if differentiated and lengths is not None else None
        height, width = labels.shape[1:]
        inputs = maps.shape[1]
        for start, stop in _strips(labels):
            first, last = source_rows(start, stop, inputs, height)
            strip = maps[:, first:last].detach().requires_grad_(differentiated)
            strip_lengths = None if lengths is None else lengths[:, start:stop].detach().requires_grad_(differentiated)
            strip_labels = labels[:, start:stop].flatten()
            with torch.set_grad_enabled(differentiated):
                pixels = resized_rows(strip, first, start, stop, (height, width), inputs)
                if strip_lengths is not None:
                    pixels = pixels / strip_lengths[..., None]
                pixels = pixels.flatten(0, 2)
                strip_total = pixel_losses(pixels, strip_labels) @ weights[strip_labels]
            if gradients is not None:
                inputs_of_strip = [strip] if strip_lengths is None else [strip, strip_lengths]
                strip_gradient, *rest = torch.autograd.grad(strip_total, inputs_of_strip)
                gradients[:, first:last] += strip_gradient
                if length_gradients is not None:
                    length_gradients[:, start:stop] = rest[0]
            total += strip_total.detach()
            if predict is not None:
                right += (predict(pixels.detach(), strip_labels) == strip_labels).sum()
        ctx.save_for_backward(gradients, length_gradients)
        ctx.mark_non_differentiable(right)
        return total, right

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients, length_gradients = (None if saved is None else saved * total_gradient for saved in ctx.saved_tensors)
        return None, None, gradients, length_gradients, None, None


def _strips(labels: Tensor) -> Iterator[tuple[int, int]]:
    images, height, width = labels.shape
    rows = max(1, PIXELS // (images * width))
    for start in range(0, height, rows):
        yield start, min(height, start + rows)
