"""Calls a compiled kernel so that reading or writing outside of a tensor is found out."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ops.library import NUMBER_TYPES, Arguments, load_kernel, sum_type
from tests.ops.problems import Inputs

GUARD = 64  # numbers before and behind a tensor


class GuardedKernels:
    """One kernel of a compiled library, called with tensors on `device`; tensors come and go on a CPU."""

    def __init__(self, library: Path, name: str, device: torch.device | None = None, threads: int = 1) -> None:
        self.device = device or torch.device("cpu")
        self.threads = threads
        kernel = load_kernel(ctypes.CDLL(str(library)), name, register_bytes=1)
        self._entries = {"forward": kernel.forward, "backward": kernel.backward}

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
        """Gradients of value (in the type of the sums), positions and scores; raises as `forward`."""
        outputs = {
            "grad_value": self._nans(inputs.value.shape, sum_type(inputs.value.dtype)),
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
        sizes_array = (ctypes.c_int64 * len(sizes))(*sizes)
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
            sizes=ctypes.addressof(sizes_array),
            threads=self.threads,
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
