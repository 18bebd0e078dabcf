"""The compiled kernels: finds and loads their libraries, and hands tensors over as sizes and pointers.

The libraries know nothing of torch, so that one built with any version works with any other, and installing needs no
torch. `ops/build.py` makes them when the package is installed; `csrc/arguments.h` is their interface.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import sys
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
NUMBER_TYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_libc = ctypes.CDLL(None)
_MUCH_MEMORY = 1 << 22

# What the CUDA kernels take; other numbers of channels are filled up.
_CUDA_TYPES = (torch.float32, torch.bfloat16, torch.float16)
_CUDA_CHANNELS = (8, 16, 32, 64, 128)
_CUDA_LEVELS, _CUDA_SAMPLES, _CUDA_GRID, _CUDA_NUMBERS = 8, 95, 65535, 2**29


class Arguments(ctypes.Structure):
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


def describe(device_type: str) -> str:
    """Which way deformable attention runs on a type of device, and why, in a line for people."""
    found = LIBRARIES[device_type]
    if not found.kernels:
        return f"PyTorch's own operators; the compiled kernel is {found.built}"
    return f"compiled kernel ({found.kernels[0].name}), {found.built}"


def load_kernel(loaded: ctypes.CDLL, name: str, register_bytes: int) -> Kernel:
    """The kernel called `name` of a loaded library."""
    functions = [getattr(loaded, f"deformable_attention_{name}_{direction}") for direction in ("forward", "backward")]
    for function in functions:
        function.argtypes = (ctypes.POINTER(Arguments),)
        function.restype = ctypes.c_char_p
    return Kernel(name, register_bytes, *functions)


def has_kernel(value: Tensor, positions: Tensor) -> bool:
    """Whether a kernel takes values (B, S, M, D) and positions (B, Q, M, L, P, 2); else only PyTorch's operators do."""
    if value.device.type not in LIBRARIES or not LIBRARIES[value.device.type].kernels:
        return False
    B, S, M, D = value.shape
    _, Q, _, L, P, _ = positions.shape
    if value.is_cuda:
        most_channels = _CUDA_CHANNELS[-1]
        fits = most_channels >= D and L <= _CUDA_LEVELS and L * P <= _CUDA_SAMPLES and max(B, M) <= _CUDA_GRID
        numbers = max(S * M * most_channels, Q * M * most_channels, Q * M * L * P * 2)
        return value.dtype in _CUDA_TYPES and fits and numbers <= _CUDA_NUMBERS
    # The CPU's kernels count the numbers of an image in 32 bits.
    return value.dtype in NUMBER_TYPES and S * M * D < 2**31


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
    output = _empty((B, positions.shape[1], M, filled.shape[-1]), value.dtype, value.device)
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
    grad_value = _empty(filled.shape, sum_type(value.dtype), value.device).zero_()
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
    _check(value, sizes, reference, positions, scores)
    B, S, M, D = value.shape
    _, Q, _, L, P, _ = positions.shape
    sizes_array = (ctypes.c_int64 * len(sizes))(*sizes)
    given = {"value": value, "reference": reference, "positions": positions, "scores": scores, **others}
    tensors = {name: _aligned(tensor) for name, tensor in given.items() if tensor is not None}
    arguments = Arguments(
        images=B,
        tokens=S,
        queries=Q,
        heads=M,
        channels=D,
        levels=L,
        points=P,
        value_type=NUMBER_TYPES[value.dtype],
        sampling_type=NUMBER_TYPES[positions.dtype],
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


def _check(value: Tensor, sizes: Sequence[int], reference: Tensor | None, positions: Tensor, scores: Tensor) -> None:
    """Pointers tell a kernel nothing: what they point to has to be what it takes them for."""
    B, S, M, _ = value.shape
    _, Q, _, L, P, _ = positions.shape
    sums = sum_type(value.dtype)
    if positions.dtype != scores.dtype or positions.dtype not in (value.dtype, sums):
        raise RuntimeError(
            f"positions and scores must both be of the values' type or of {sums}; "
            f"got {positions.dtype} and {scores.dtype} for values of {value.dtype}"
        )
    if reference is not None and (reference.dtype != sums or reference.shape != (Q, 2)):
        raise RuntimeError(f"reference must be ({Q}, 2) of {sums}; got {tuple(reference.shape)} of {reference.dtype}")
    if positions.shape != (B, Q, M, L, P, 2) or scores.shape != (B, Q, M, L, P) or len(sizes) != 2 * L:
        raise RuntimeError(
            f"values {tuple(value.shape)} and {len(sizes)} sizes do not fit positions {tuple(positions.shape)} "
            f"and scores {tuple(scores.shape)}"
        )
    tokens = sum(height * width for height, width in zip(sizes[::2], sizes[1::2], strict=True))
    if tokens != S or min(sizes, default=0) < 0:
        raise RuntimeError(f"level sizes {list(sizes)} hold {tokens} tokens; value has {S}")
    others = [tensor for tensor in (reference, positions, scores) if tensor is not None]
    if any(tensor.device != value.device for tensor in others):
        raise RuntimeError(f"all tensors must be on {value.device}; got {[str(tensor.device) for tensor in others]}")


def _filled_up(tensor: Tensor) -> Tensor:
    """`tensor` with as many channels, the last dimension, as a GPU's kernel wants."""
    if not tensor.is_cuda:
        return tensor
    channels = tensor.shape[-1]
    return F.pad(tensor, (0, next(count for count in _CUDA_CHANNELS if count >= channels) - channels))


def _empty(shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory on `device`; much of it on a CPU in huge pages, whose first use takes a quarter of the time."""
    tensor = torch.empty(shape, dtype=dtype, device=device)
    if device.type == "cpu" and sys.platform == "linux" and tensor.nbytes >= _MUCH_MEMORY:
        start = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        # Only advice: where it is not taken, nothing is lost.
        _libc.madvise(
            ctypes.c_void_p(start), ctypes.c_size_t(tensor.data_ptr() + tensor.nbytes - start), mmap.MADV_HUGEPAGE
        )
    return tensor


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
