"""The compiled kernels: finds and loads their libraries, and hands tensors over as sizes and pointers.

The libraries know nothing of torch, so that one built with any version works with any other, and installing needs no
torch. `ops/build.py` makes them when the package is installed; `csrc/arguments.h` is their interface.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

COMPILED = Path(__file__).parent / "compiled"
REPORT = COMPILED / "report.json"

# The sets of instructions that the CPU's library may hold, the widest first.
_REGISTER_BYTES = {"avx512": 64, "avx2": 32, "portable": 16}
_NUMBER_TYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
# What the CUDA kernels take; other numbers of channels are filled up.
_CUDA_TYPES = (torch.float32, torch.bfloat16, torch.float16)
_CUDA_CHANNELS = (8, 16, 32, 64, 128)
_CUDA_LEVELS, _CUDA_SAMPLES, _CUDA_NUMBERS = 8, 95, 2**29


class _Arguments(ctypes.Structure):
    """`prolab::Arguments`, field by field."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "tokens", "queries", "heads", "channels", "levels", "points")),
        ("value_type", ctypes.c_int64),
        ("sampling_type", ctypes.c_int64),
        ("sizes", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in ("value", "reference", "positions", "scores", "grad_output")),
        *((name, ctypes.c_void_p) for name in ("output", "grad_value", "grad_positions", "grad_scores")),
        ("threads", ctypes.c_int64),
        ("stream", ctypes.c_void_p),
    )


@dataclass(frozen=True)
class Kernel:
    """The two functions of one set of instructions, or of the GPU's."""

    name: str
    register_bytes: int
    forward: Callable[..., bytes | None]
    backward: Callable[..., bytes | None]


@dataclass(frozen=True)
class Library:
    """The kernels for one type of device, those of the widest registers first; what the build said of them."""

    kernels: tuple[Kernel, ...]
    built: str


def sum_type(dtype: torch.dtype) -> torch.dtype:
    """The type in which sums over numbers of `dtype` are made: float64 for float64, else float32."""
    return torch.promote_types(dtype, torch.float32)


def load_kernel(loaded: ctypes.CDLL, name: str, register_bytes: int) -> Kernel:
    """The kernel called `name` of a loaded library."""
    functions = [getattr(loaded, f"deformable_attention_{name}_{direction}") for direction in ("forward", "backward")]
    for function in functions:
        function.argtypes = (ctypes.POINTER(_Arguments),)
        function.restype = ctypes.c_char_p
    return Kernel(name, register_bytes, *functions)


def has_kernel(value: Tensor, positions: Tensor) -> bool:
    """Whether a kernel takes values (B, S, M, D) and positions (B, Q, M, L, P, 2); else only PyTorch's operators do."""
    if value.device.type not in LIBRARIES or not LIBRARIES[value.device.type].kernels:
        return False
    _, S, M, D = value.shape
    _, Q, _, L, P, _ = positions.shape
    if value.is_cuda:
        fits = D <= _CUDA_CHANNELS[-1] and L <= _CUDA_LEVELS and L * P <= _CUDA_SAMPLES
        numbers = max(S * M * _CUDA_CHANNELS[-1], Q * M * _CUDA_CHANNELS[-1], Q * M * L * P * 2)
        return value.dtype in _CUDA_TYPES and fits and numbers <= _CUDA_NUMBERS
    # The CPU's kernels count the numbers of an image in 32 bits.
    return value.dtype in _NUMBER_TYPES and S * M * D < 2**31


def kernel_for(value: Tensor) -> Kernel:
    """The best of the kernels for the device of values (B, S, M, D)."""
    kernels = LIBRARIES[value.device.type].kernels
    row = value.shape[-1] * sum_type(value.dtype).itemsize
    # Registers that a row of channels fills; else the narrowest, which waste least.
    return next((kernel for kernel in kernels if row % kernel.register_bytes == 0), kernels[-1])


def forward(
    kernel: Kernel, value: Tensor, sizes: Sequence[int], reference: Tensor | None, positions: Tensor, scores: Tensor
) -> Tensor:
    """Run the forward pass; returns (B, Q, M * D).

    Raises:
        RuntimeError: when the kernel reports a failure.
    """
    B, _, M, D = value.shape
    filled = _filled_up(value)
    output = filled.new_empty(B, positions.shape[1], M, filled.shape[-1])
    if output.numel():
        _call(kernel.forward, filled, sizes, reference, positions, scores, output=output)
    return output[..., :D].reshape(B, -1, M * D)


def backward(
    kernel: Kernel,
    grad_output: Tensor,
    value: Tensor,
    sizes: Sequence[int],
    reference: Tensor | None,
    positions: Tensor,
    scores: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the backward pass; returns the gradients of value, positions and scores.

    Raises:
        RuntimeError: when the kernel reports a failure.
    """
    B, _, M, D = value.shape
    filled = _filled_up(value)
    grad_output = _filled_up(grad_output.view(B, -1, M, D))
    grad_value = torch.zeros(filled.shape, dtype=sum_type(value.dtype), device=value.device)
    grad_positions, grad_scores = positions.new_empty(positions.shape), scores.new_empty(scores.shape)
    if grad_output.numel():
        gradients = {"grad_value": grad_value, "grad_positions": grad_positions, "grad_scores": grad_scores}
        _call(kernel.backward, filled, sizes, reference, positions, scores, grad_output=grad_output, **gradients)
    return grad_value[..., :D].to(value.dtype).contiguous(), grad_positions, grad_scores


def _call(
    function: Callable[..., bytes | None],
    value: Tensor,
    sizes: Sequence[int],
    reference: Tensor | None,
    positions: Tensor,
    scores: Tensor,
    **others: Tensor,
) -> None:
    B, S, M, D = value.shape
    _, Q, _, L, P, _ = positions.shape
    sizes_array = (ctypes.c_int64 * len(sizes))(*sizes)
    tensors = {"value": value, "reference": reference, "positions": positions, "scores": scores, **others}
    tensors = {name: _aligned(tensor) for name, tensor in tensors.items() if tensor is not None}
    arguments = _Arguments(
        images=B,
        tokens=S,
        queries=Q,
        heads=M,
        channels=D,
        levels=L,
        points=P,
        value_type=_NUMBER_TYPES[value.dtype],
        sampling_type=_NUMBER_TYPES[positions.dtype],
        sizes=ctypes.addressof(sizes_array),
        threads=torch.get_num_threads(),
        **{name: tensor.data_ptr() for name, tensor in tensors.items()},
    )
    if value.is_cuda:
        with torch.cuda.device(value.device):
            arguments.stream = torch.cuda.current_stream().cuda_stream
            failure = function(ctypes.byref(arguments))
    else:
        failure = function(ctypes.byref(arguments))
    if failure:
        raise RuntimeError(f"deformable attention on {value.device}: {failure.decode()}")


def _filled_up(tensor: Tensor) -> Tensor:
    """`tensor` with as many channels, the last dimension, as a GPU's kernel wants."""
    if not tensor.is_cuda:
        return tensor
    channels = tensor.shape[-1]
    return F.pad(tensor, (0, next(count for count in _CUDA_CHANNELS if count >= channels) - channels))


def _aligned(tensor: Tensor) -> Tensor:
    """`tensor` as a contiguous one that begins where a GPU's wide loads may."""
    tensor = tensor.contiguous()
    return tensor.clone() if tensor.is_cuda and tensor.data_ptr() % 16 else tensor


def _build_report() -> dict[str, str]:
    if not REPORT.exists():
        return {}
    report: dict[str, str] = json.loads(REPORT.read_text(encoding="utf-8"))
    return report


def _load(device_type: str) -> Library:
    path = COMPILED / f"deformable_attention_{device_type}.so"
    built = _build_report().get(device_type, "not built: the package was not installed with pip")
    if not path.exists():
        return Library((), built)
    try:
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        return Library((), f"{built}, but it does not load: {error}")
    if device_type == "cuda":
        return Library((load_kernel(loaded, "cuda", register_bytes=1),), built)
    names = [name for name in _REGISTER_BYTES if hasattr(loaded, f"deformable_attention_{name}_forward")]
    names = [name for name in names if loaded.deformable_attention_supports(name.encode())]
    return Library(tuple(load_kernel(loaded, name, _REGISTER_BYTES[name]) for name in names), built)


# Loaded with the module, so that code traced by torch.compile only looks them up.
LIBRARIES = {device_type: _load(device_type) for device_type in ("cpu", "cuda")}
