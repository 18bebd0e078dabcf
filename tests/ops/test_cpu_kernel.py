"""The CPU's kernels of every set of instructions against the definition."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ops.library import COMPILED, LIBRARIES
from tests.ops.guarded_kernels import GuardedKernels
from tests.ops.kernel_tests import TYPES, KernelTests, modes, types
from tests.ops.problems import PYRAMID, Inputs, check, cotangent, make_inputs

ALL_TYPES = [(torch.float64, torch.float64), *TYPES]
INSTRUCTIONS = [kernel.name for kernel in LIBRARIES["cpu"].kernels]
pytestmark = pytest.mark.skipif(not INSTRUCTIONS, reason=f"no compiled kernels: {LIBRARIES['cpu'].built}")


def load(instructions: str, threads: int = 1) -> GuardedKernels:
    return GuardedKernels(COMPILED / "deformable_attention_cpu.so", instructions, threads=threads)


@pytest.fixture(params=INSTRUCTIONS)
def kernels(request: pytest.FixtureRequest) -> GuardedKernels:
    return load(request.param)


def test_a_wide_set_of_instructions_is_used_where_there_is_one() -> None:
    assert INSTRUCTIONS[-1] == "portable"
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert "avx2" in INSTRUCTIONS


class TestCpuKernel(KernelTests):
    """What every kernel has to do."""


@modes
@types(ALL_TYPES)
@pytest.mark.parametrize("channels", [1, 3, 8, 16, 20, 32, 64, 96])
def test_types_and_channels(
    kernels: GuardedKernels, channels: int, types: tuple[torch.dtype, torch.dtype], fused: bool
) -> None:
    check(kernels, make_inputs(PYRAMID, fused, channels, images=1).to(*types))


@modes
@pytest.mark.parametrize("extractor", [False, True], ids=["injector", "extractor"])
def test_shapes_of_the_base_network(kernels: GuardedKernels, extractor: bool, fused: bool) -> None:
    """ViT-Adapter-B at a crop of 512, with half of its queries."""
    pyramid = [(64, 64), (32, 32), (16, 16)]
    sizes, queries = (pyramid[1:2], 2688) if extractor else (pyramid, 512)
    check(kernels, make_inputs(sizes, fused, queries=queries, images=1, heads=12, points=4).to(*TYPES[0]))


def test_what_lies_nowhere_takes_nothing_from_values_that_are_not_finite(kernels: GuardedKernels) -> None:
    inputs = make_inputs([(4, 5)], fused=False)
    outside = replace(
        inputs,
        value=torch.full_like(inputs.value, float("inf")),
        positions=torch.full_like(inputs.positions, float("nan")),
    )
    assert not kernels.forward(outside).any()
    assert all(not gradient.any() for gradient in kernels.backward(outside, cotangent(outside)))


def test_logits_that_are_not_numbers_show(kernels: GuardedKernels) -> None:
    inputs = make_inputs(PYRAMID, fused=True)
    scores = inputs.scores.clone()
    scores[0, 0, 0, 0, 0] = float("nan")
    output = kernels.forward(replace(inputs, scores=scores))
    assert output[0, 0, 0].isnan().all()
    assert output[0, 1:].isfinite().all()


@modes
@pytest.mark.parametrize("types", ALL_TYPES[:3], ids=["float64", "float32", "bfloat16"])
def test_any_number_of_threads_gives_the_same_bits(fused: bool, types: tuple[torch.dtype, torch.dtype]) -> None:
    inputs = make_inputs(PYRAMID, fused, queries=301, heads=7).to(*types)
    alone = _results(load(INSTRUCTIONS[0]), inputs)
    for threads in (2, 3, 5, 16):
        together = _results(load(INSTRUCTIONS[0], threads), inputs)
        assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def _results(kernels: GuardedKernels, inputs: Inputs) -> list[torch.Tensor]:
    return [kernels.forward(inputs), *kernels.backward(inputs, cotangent(inputs))]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_every_16_bit_number_is_read_and_rounded_as_torch_does(kernels: GuardedKernels, dtype: torch.dtype) -> None:
    """One sample in the centre of each pixel: the output is the pixel times the weight, rounded once."""
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    every = torch.where(every.isfinite(), every, torch.zeros((), dtype=dtype)).view(1, 64, 32, 32)
    weights = torch.linspace(-1.5, 1.5, 64 * 32).view(1, 64, 32, 1, 1)
    columns = (torch.arange(64) + 0.5) / 64
    locations = (
        torch.stack((columns, torch.full((64,), 0.5)), dim=-1).view(1, 64, 1, 1, 1, 2).expand(1, 64, 32, 1, 1, 2)
    )
    output = kernels.forward(Inputs(every, [(1, 64)], locations.contiguous(), weights, None))
    assert torch.equal(output, (every.float() * weights[..., 0]).to(dtype))
