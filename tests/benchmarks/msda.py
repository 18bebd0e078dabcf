"""Times multi-scale deformable attention against mmcv's pure PyTorch version, in one process.

Shapes of ViT-Adapter-S and -B at crop 512, two images. Run: python tests/benchmarks/msda.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from ops import multi_scale_deformable_attention
from prolab_model import openmmlab  # noqa: F401  # makes mmcv importable without its compiled operators
from prolab_model.adapter import pixel_centres

# isort: split
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

CROP = 512
SIZES = [(CROP // stride, CROP // stride) for stride in (8, 16, 32)]
CHANNELS = 32  # a head, in every released config
POINTS = 4


def make_inputs(queries: list[tuple[int, int]], values: list[tuple[int, int]], heads: int) -> tuple[Tensor, ...]:
    """Values, locations a few pixels around each query, and weights, all of which want gradients."""
    generator = torch.Generator().manual_seed(0)
    centres = pixel_centres(queries, torch.device("cpu"))
    extent = torch.tensor([(width, height) for height, width in values])
    shape = (2, len(centres), heads, len(values), POINTS)
    offsets = 2 * torch.randn(*shape, 2, generator=generator) / extent.view(1, 1, 1, -1, 1, 2)
    value = torch.randn(2, sum(height * width for height, width in values), heads, CHANNELS, generator=generator)
    weights = torch.rand(shape, generator=generator)
    return tuple(leaf.requires_grad_() for leaf in (value, centres.view(1, -1, 1, 1, 1, 2) + offsets, weights))


def median_milliseconds(function: Callable[[], Tensor], backward: bool, repeats: int) -> float:
    """Median time of `function`, with or without its backward pass."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        output = function()
        if backward:
            output.sum().backward()
        times.append(time.perf_counter() - start)
    return 1000 * sorted(times[1:])[repeats // 2]


def main() -> None:
    """Print a line for each shape and pass."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    print("shape               threads  pass              mmcv ms   ours ms   ratio")
    for model, heads in (("S", 6), ("B", 12)):
        for name, queries, values in (("injector", SIZES[1:2], SIZES), ("extractor", SIZES, SIZES[1:2])):
            value, locations, weights = make_inputs(queries, values, heads)
            shapes = torch.tensor(values)

            def theirs(
                value: Tensor = value, shapes: Tensor = shapes, locations: Tensor = locations, weights: Tensor = weights
            ) -> Tensor:
                output: Tensor = multi_scale_deformable_attn_pytorch(value, shapes, locations, weights)
                return output

            def ours(
                value: Tensor = value,
                sizes: list[tuple[int, int]] = values,
                locations: Tensor = locations,
                weights: Tensor = weights,
            ) -> Tensor:
                return multi_scale_deformable_attention(value, sizes, locations, weights)

            torch.testing.assert_close(ours(), theirs(), rtol=1e-3, atol=1e-4)
            for threads in (1, 2):
                torch.set_num_threads(threads)
                for backward in (False, True):
                    reference = median_milliseconds(theirs, backward, repeats)
                    measured = median_milliseconds(ours, backward, repeats)
                    label = "forward+backward" if backward else "forward"
                    print(
                        f"{model}-{CROP} {name:12s}  {threads:7d}  {label:16s} {reference:8.1f}  {measured:8.1f}"
                        f"  {reference / measured:6.2f}"
                    )


if __name__ == "__main__":
    main()
