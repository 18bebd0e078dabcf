"""Compiles the CUDA kernels for a CPU or a GPU and calls them with tensors.

Shapes are those of `ops.deformable_attention`: value (B, S, M, D), positions (B, Q, M, L, P, 2),
scores (B, Q, M, L, P), reference (Q, 2).
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[2] / "ops" / "csrc"
NUMBER_TYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
GUARD = 64  # numbers before and behind a tensor


class Arguments(ctypes.Structure):
    """`prolab::Arguments`, field by field."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "tokens", "queries", "heads", "channels", "levels", "points")),
        ("value_type", ctypes.c_int64),
        ("sampling_type", ctypes.c_int64),
        ("sizes", ctypes.POINTER(ctypes.c_int64)),
        *((name, ctypes.c_void_p) for name in ("value", "reference", "positions", "scores", "grad_output")),
        *((name, ctypes.c_void_p) for name in ("output", "grad_value", "grad_positions", "grad_scores")),
        ("threads", ctypes.c_int64),
        ("stream", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class Inputs:
    """What the kernels read; without a reference positions are locations and scores are weights."""

    value: Tensor
    sizes: Sequence[tuple[int, int]]
    positions: Tensor
    scores: Tensor
    reference: Tensor | None

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.value, self.positions, self.scores

    def to(self, value: torch.dtype, sampling: torch.dtype) -> Inputs:
        return replace(
            self, value=self.value.to(value), positions=self.positions.to(sampling), scores=self.scores.to(sampling)
        )


def make_inputs(
    sizes: Sequence[tuple[int, int]],
    fused: bool,
    channels: int = 32,
    images: int = 2,
    queries: int = 5,
    heads: int = 2,
    points: int = 3,
    seed: int = 0,
) -> Inputs:
    """Random inputs in float32; some samples lie outside of their maps."""
    generator = torch.Generator().manual_seed(seed)
    shape = (images, queries, heads, len(sizes), points)
    value = torch.randn(images, sum(h * w for h, w in sizes), heads, channels, generator=generator)
    if fused:
        positions, scores = torch.randn(*shape, 2, generator=generator) * 2, torch.randn(*shape, generator=generator)
        return Inputs(value, sizes, positions, scores, torch.rand(queries, 2, generator=generator))
    positions = torch.rand(*shape, 2, generator=generator) * 1.6 - 0.3
    return Inputs(value, sizes, positions, torch.rand(*shape, generator=generator), None)


def _locations(inputs: Inputs) -> Tensor:
    """Positions in float64, (B, Q, M, L, P, 2), in units of the maps' widths and heights."""
    if inputs.reference is None:
        return inputs.positions.double()
    extent = torch.tensor([[width, height] for height, width in inputs.sizes], dtype=torch.float64)
    reference = inputs.reference.double().view(1, -1, 1, 1, 1, 2)
    return reference + inputs.positions.double() / extent.view(1, 1, 1, -1, 1, 2)


def smooth(inputs: Inputs) -> Tensor:
    """Where the gradient of positions has one value: not on the lines between pixels, where it jumps."""
    extent = torch.tensor([[width, height] for height, width in inputs.sizes], dtype=torch.float64)
    pixels = _locations(inputs) * extent.view(1, 1, 1, -1, 1, 2) - 0.5
    return (pixels - pixels.round()).abs() > 1e-4


def by_definition(inputs: Inputs) -> Tensor:
    """Output (B, Q, M, D) in float64: bilinear samples with zeros outside, weighted and added up.

    Samples far outside of a map, or at NaN or infinity, count nothing.
    """
    value, positions, scores = inputs.value.double(), _locations(inputs), inputs.scores.double()
    (images, _, heads, channels), (queries, points) = value.shape, (scores.shape[1], scores.shape[4])
    if inputs.reference is not None:
        scores = scores.flatten(3).softmax(-1).view_as(scores)
    positions = torch.where((positions.abs() < 1e4).all(-1, keepdim=True), positions, -100.0)
    output = value.new_zeros(images * heads, channels, queries)
    levels = value.split([height * width for height, width in inputs.sizes], dim=1)
    for level, (tokens, (height, width)) in enumerate(zip(levels, inputs.sizes, strict=True)):
        maps = tokens.permute(0, 2, 3, 1).reshape(images * heads, channels, height, width)
        grid = 2 * positions[:, :, :, level].transpose(1, 2).reshape(images * heads, queries, points, 2) - 1
        samples = F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)  # (B * M, D, Q, P)
        weights = scores[:, :, :, level].transpose(1, 2).reshape(images * heads, 1, queries, points)
        output = output + (samples * weights).sum(-1)
    return output.view(images, heads, channels, queries).permute(0, 3, 1, 2)


def gradients_by_definition(inputs: Inputs, grad_output: Tensor) -> tuple[Tensor, ...]:
    """Gradients of value, positions and scores in float64."""
    leaves = [tensor.double().requires_grad_() for tensor in inputs.tensors()]
    output = by_definition(replace(inputs, value=leaves[0], positions=leaves[1], scores=leaves[2]))
    return torch.autograd.grad(output, leaves, grad_output.double())


def compile_for_cpu(library: Path, sources: Path = SOURCES, options: Sequence[str] = ("-O1",)) -> Path:
    """Compiles the kernels in `sources` with g++ to `library`."""
    command = ["g++", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    # Else libraries that are loaded side by side would share their inline variables, and with them the running block.
    command += ["-fno-gnu-unique"]
    command += ["-fno-strict-aliasing", *options, f"-I{HERE}", f"-I{sources}", str(HERE / "kernels.cpp")]
    result = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return library


def compile_for_gpu(library: Path, architecture: int) -> str:
    """Compiles the kernels with nvcc to `library`; what the assembler says of them."""
    command = ["nvcc", "-O3", "-std=c++17", "-shared", "-Xcompiler", "-fPIC,-Wall,-Wextra", "-cudart", "static"]
    command += ["-gencode", f"arch=compute_{architecture},code=sm_{architecture}", "-Werror", "all-warnings"]
    command += ["-Xptxas", "-v", str(SOURCES / "cuda.cu"), "-o", str(library)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stderr


class Kernels:
    """The entry points of a compiled library, called with tensors on `device`; tensors come and go on a CPU."""

    def __init__(self, library: Path, device: torch.device | None = None) -> None:
        self.device = device or torch.device("cpu")
        loaded = ctypes.CDLL(str(library))
        self._entries = {each: getattr(loaded, f"deformable_attention_cuda_{each}") for each in ("forward", "backward")}
        for entry in self._entries.values():
            entry.argtypes, entry.restype = [ctypes.POINTER(Arguments)], ctypes.c_char_p

    def forward(self, inputs: Inputs) -> Tensor:
        """Output (B, Q, M, D).

        Raises:
            RuntimeError: with the kernel's text, or when it writes where it must not.
        """
        images, _, heads, channels = inputs.value.shape
        output = self._nans((images, inputs.scores.shape[1], heads, channels), inputs.value.dtype)
        self._call("forward", inputs, {"output": output})
        return output.tensor.cpu()

    def backward(self, inputs: Inputs, grad_output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of value (in float32), positions and scores; raises as `forward`."""
        outputs = {
            "grad_value": self._nans(inputs.value.shape, torch.float32),
            "grad_positions": self._nans(inputs.positions.shape, inputs.positions.dtype),
            "grad_scores": self._nans(inputs.scores.shape, inputs.scores.dtype),
        }
        outputs["grad_value"].tensor.zero_()
        self._call("backward", inputs, outputs | {"grad_output": self._copy(grad_output)})
        value, positions, scores = (each.tensor.cpu() for each in outputs.values())
        return value, positions, scores

    def _nans(self, shape: Sequence[int], dtype: torch.dtype) -> _Guarded:
        count = torch.Size(shape).numel()
        memory = torch.full((count + 2 * GUARD,), float("nan"), dtype=dtype, device=self.device)
        return _Guarded(memory[GUARD : GUARD + count].view(shape), memory)

    def _copy(self, tensor: Tensor) -> _Guarded:
        guarded = self._nans(tensor.shape, tensor.dtype)
        guarded.tensor.copy_(tensor)
        return guarded

    def _call(self, direction: str, inputs: Inputs, others: dict[str, _Guarded]) -> None:
        tensors = {"value": inputs.value, "positions": inputs.positions, "scores": inputs.scores}
        if inputs.reference is not None:
            tensors["reference"] = inputs.reference
        guarded = {name: self._copy(tensor) for name, tensor in tensors.items()} | others
        images, tokens, heads, channels = inputs.value.shape
        sizes = [side for size in inputs.sizes for side in size]
        arguments = Arguments(
            images=images,
            tokens=tokens,
            queries=inputs.scores.shape[1],
            heads=heads,
            channels=channels,
            levels=len(inputs.sizes),
            points=inputs.scores.shape[4],
            value_type=NUMBER_TYPES[inputs.value.dtype],
            sampling_type=NUMBER_TYPES[inputs.scores.dtype],
            sizes=(ctypes.c_int64 * len(sizes))(*sizes),
            stream=torch.cuda.current_stream(self.device).cuda_stream if self.device.type == "cuda" else None,
            **{name: each.tensor.data_ptr() for name, each in guarded.items()},
        )
        error = self._entries[direction](ctypes.byref(arguments))
        if error is not None:
            raise RuntimeError(error.decode())
        for name, each in guarded.items():
            if not each.intact():
                raise RuntimeError(f"written outside of {name}")


@dataclass(frozen=True)
class _Guarded:
    """A tensor between numbers that are NaN: who reads them computes NaN, who writes them is found out."""

    tensor: Tensor
    memory: Tensor

    def intact(self) -> bool:
        return bool(self.memory[:GUARD].isnan().all() and self.memory[-GUARD:].isnan().all())
