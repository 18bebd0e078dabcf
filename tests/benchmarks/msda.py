"""Times multi-scale deformable attention against mmcv's pure PyTorch version and against the floor, in one process.

Shapes of ViT-Adapter-B and -L at their crops, one image. The floor is the time in which the processor can load (and in
the backward pass add to) the samples' pixels when all lie in its first-level cache; it is measured by
`load_floor.cpp`, compiled on the spot.

Run: python -m tests.benchmarks.msda, on a GPU python -m tests.benchmarks.msda --device cuda --dtype bfloat16
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ops import MSDeformAttn, multi_scale_deformable_attention, multi_scale_deformable_attention_of_offsets
from ops.build import cpu_recipe
from ops.fallback import by_embedding_bag
from ops.library import describe
from prolab_model import openmmlab  # noqa: F401  # makes mmcv importable without its compiled operators
from prolab_model.adapter import pixel_centres

# isort: split
from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

CHANNELS, POINTS = 32, 4  # of every released network
NETWORKS = (("B", 512, 12, 768), ("B", 768, 12, 768), ("L", 640, 16, 1024), ("L", 896, 16, 1024))
Function = Callable[[], Tensor]


@dataclass(frozen=True)
class Problem:
    """One call of the injector or the extractor: values, and queries with samples a few pixels around them."""

    value: Tensor
    sizes: list[tuple[int, int]]
    reference: Tensor
    offsets: Tensor
    logits: Tensor
    locations: Tensor
    weights: Tensor

    @classmethod
    def make(
        cls, queries: list[tuple[int, int]], sizes: list[tuple[int, int]], heads: int, device: str, dtype: torch.dtype
    ) -> Problem:
        """Offsets as a network has them after its initialisation, with noise."""
        generator = torch.Generator().manual_seed(0)
        reference = pixel_centres(queries, torch.device("cpu"))
        directions = MSDeformAttn(CHANNELS * heads, len(sizes), heads, POINTS).sampling_offsets.bias.detach()
        shape = (1, len(reference), heads, len(sizes), POINTS)
        offsets = directions.view(1, 1, *shape[2:], 2) + torch.randn(*shape, 2, generator=generator)
        logits = torch.randn(shape, generator=generator)
        extent = torch.tensor([(width, height) for height, width in sizes]).view(1, 1, 1, -1, 1, 2)
        value = torch.randn(1, sum(height * width for height, width in sizes), heads, CHANNELS, generator=generator)
        locations = reference.view(1, -1, 1, 1, 1, 2) + offsets / extent
        weights = logits.flatten(3).softmax(-1).view(shape)
        types = (dtype, dtype, dtype, torch.float32, torch.float32)
        value, offsets, logits, locations, weights = (
            tensor.to(device, type_).contiguous().requires_grad_()
            for tensor, type_ in zip((value, offsets, logits, locations, weights), types, strict=True)
        )
        return cls(value, sizes, reference.to(device), offsets, logits, locations, weights)

    def mmcv(self) -> Tensor:
        """The version of mmcv, by grid_sample."""
        shapes = torch.tensor(self.sizes)
        value = self.value.float()  # it takes no other type beside such locations
        output: Tensor = multi_scale_deformable_attn_pytorch(value, shapes, self.locations, self.weights)
        return output

    def compiled(self) -> Tensor:
        """Our kernel, from the same inputs."""
        return multi_scale_deformable_attention(self.value, self.sizes, self.locations, self.weights)

    def fused(self) -> Tensor:
        """Our kernel, from offsets and logits: it computes softmax and locations besides."""
        return multi_scale_deformable_attention_of_offsets(
            self.value, self.sizes, self.reference, self.offsets, self.logits
        )

    def fallback(self) -> Tensor:
        """What runs without a compiler."""
        return by_embedding_bag(self.value, self.sizes, self.locations, self.weights)


class Floor:
    """Times the bare loads, in milliseconds."""

    def __init__(self, folder: Path) -> None:
        library = folder / "load_floor.so"
        flags = ["-O3", "-std=gnu++17", "-march=native", "-mprefer-vector-width=512", "-Wno-psabi", "-shared", "-fPIC"]
        source = Path(__file__).with_name("load_floor.cpp")
        subprocess.run([cpu_recipe().compiler, *flags, str(source), "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))

    def milliseconds(self, samples: int, backward: bool) -> float:
        """For so many samples of 32 channels, forward or forward and backward."""
        functions = [self._library.forward_floor, *([self._library.backward_floor] if backward else [])]
        return sum(best_milliseconds(partial(function, ctypes.c_int64(4 * samples)), 9) for function in functions)


def best_milliseconds(function: Callable[[], object], repeats: int) -> float:
    """Shortest time of `function`: what the machine can do when nothing else runs."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 1000 * min(times[1:])


def with_backward(function: Function, inputs: Sequence[Tensor]) -> Callable[[], object]:
    """`function` and the gradients of its inputs."""
    gradient = torch.ones_like(function())
    return lambda: torch.autograd.grad(function(), inputs, gradient)


def without_graph(function: Function, inputs: Sequence[Tensor]) -> Callable[[], object]:
    """`function` as in inference."""

    def run() -> Tensor:
        with torch.no_grad():
            return function()

    return run


def print_operators(floor: Floor | None, threads: Sequence[int], repeats: int, device: str, dtype: torch.dtype) -> None:
    """A line for each shape, pass and number of threads."""
    print("times in ms; in brackets mmcv's time over it; x floor: ours over the floor, which is that of one thread")
    print(f"{'':24}{'threads':>8}{'mmcv':>9}{'ours':>16}{'fused':>16}{'fallback':>16}{'x floor':>9}")
    for network, crop, heads, _ in NETWORKS:
        pyramid = [(crop // stride, crop // stride) for stride in (8, 16, 32)]
        for name, queries, values in (("injector", pyramid[1:2], pyramid), ("extractor", pyramid, pyramid[1:2])):
            problem = Problem.make(queries, values, heads, device, dtype)
            tolerance = 10 * torch.finfo(dtype).eps + 1e-3
            for function in (problem.compiled, problem.fused):
                torch.testing.assert_close(function().float(), problem.mmcv(), rtol=tolerance, atol=tolerance)
            for backward in (False, True):
                wrap = with_backward if backward else without_graph
                for count in threads:
                    torch.set_num_threads(count)
                    sampled = (problem.value, problem.locations, problem.weights)
                    predicted = (problem.value, problem.offsets, problem.logits)
                    theirs = best_milliseconds(wrap(problem.mmcv, sampled), repeats)
                    ours = [
                        best_milliseconds(wrap(problem.compiled, sampled), 3 * repeats),
                        best_milliseconds(wrap(problem.fused, predicted), 3 * repeats),
                        best_milliseconds(wrap(problem.fallback, sampled), repeats),
                    ]
                    cells = [f"{milliseconds:8.2f} ({theirs / milliseconds:4.1f})" for milliseconds in ours]
                    label = f"{network}-{crop} {name}{' +bwd' if backward else ''}"
                    ratio = ""
                    if floor and count == 1:
                        ratio = f"{ours[0] / floor.milliseconds(problem.weights.numel(), backward):9.1f}"
                    print(f"{label:24}{count:8}{theirs:9.1f}" + "".join(f"{cell:>16}" for cell in cells) + ratio)


def print_modules(repeats: int, device: str, dtype: torch.dtype) -> None:
    """What share of a whole module, whose linear layers dominate, is left to the operator."""
    torch.set_num_threads(1)
    print("\nwhole modules, one thread: ms, and the share of the operator in it")
    for network, crop, heads, dim in NETWORKS[:1] + NETWORKS[2:3]:
        pyramid = [(crop // stride, crop // stride) for stride in (8, 16, 32)]
        for name, queries, values in (("injector", pyramid[1:2], pyramid), ("extractor", pyramid, pyramid[1:2])):
            problem = Problem.make(queries, values, heads, device, dtype)
            predicted = (problem.value, problem.offsets, problem.logits)
            module = MSDeformAttn(dim, len(values), heads, POINTS, ratio=0.5).to(device, dtype)
            query, value = (
                torch.randn(1, count, dim, device=device, dtype=dtype, requires_grad=True)
                for count in (len(problem.reference), problem.value.shape[1])
            )

            def attend(
                module: MSDeformAttn = module, query: Tensor = query, value: Tensor = value, problem: Problem = problem
            ) -> Tensor:
                output: Tensor = module(query, problem.reference, value, problem.sizes)
                return output

            for label, wrap in (("forward", without_graph), ("forward+backward", with_backward)):
                whole = best_milliseconds(wrap(attend, (query, value, *module.parameters())), repeats)
                operator = best_milliseconds(wrap(problem.fused, predicted), repeats)
                print(f"{network}-{crop} {name:10} {label:17} {whole:8.1f} {operator / whole:6.0%}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    arguments = parser.parse_args()
    device, dtype = arguments.device, getattr(torch, arguments.dtype)
    print(f"{dtype} on {device}: {describe(device)}")
    with tempfile.TemporaryDirectory() as folder:
        on_cpu = device == "cpu"
        floor = Floor(Path(folder)) if on_cpu else None
        print_operators(floor, arguments.threads if on_cpu else [1], arguments.repeats, device, dtype)
    print_modules(arguments.repeats, device, dtype)


if __name__ == "__main__":
    main()
