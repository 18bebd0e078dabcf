"""The CPU's kernels of every set of instructions against the definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from ops.library import COMPILED, LIBRARIES
from tests.ops.guarded_kernels import GuardedKernels
from tests.ops.problems import LEVELS, PYRAMID, Inputs, assert_near, by_definition, check, cotangent, make_inputs

TYPES = [
    (torch.float64, torch.float64),
    (torch.float32, torch.float32),
    (torch.bfloat16, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.float16, torch.float32),
    (torch.float16, torch.float16),
]
modes = pytest.mark.parametrize("fused", [False, True], ids=["locations", "fused"])
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


@modes
@pytest.mark.parametrize("types", TYPES, ids=lambda types: "-".join(str(each).removeprefix("torch.") for each in types))
@pytest.mark.parametrize("channels", [1, 3, 8, 16, 20, 32, 64, 96])
def test_types_and_channels(
    kernels: GuardedKernels, channels: int, types: tuple[torch.dtype, torch.dtype], fused: bool
) -> None:
    check(kernels, make_inputs(PYRAMID, fused, channels, images=1).to(*types))


@modes
@pytest.mark.parametrize("sizes", LEVELS, ids=str)
def test_levels(kernels: GuardedKernels, sizes: Sequence[tuple[int, int]], fused: bool) -> None:
    check(kernels, make_inputs(sizes, fused))


@modes
@pytest.mark.parametrize("points", [1, 2, 4, 8, 11])
def test_points(kernels: GuardedKernels, points: int, fused: bool) -> None:
    check(kernels, make_inputs([(6, 6), (3, 3)], fused, points=points))


@modes
@pytest.mark.parametrize("extractor", [False, True], ids=["injector", "extractor"])
def test_shapes_of_the_base_network(kernels: GuardedKernels, extractor: bool, fused: bool) -> None:
    """ViT-Adapter-B at a crop of 512, with half of its queries."""
    pyramid = [(64, 64), (32, 32), (16, 16)]
    sizes, queries = (pyramid[1:2], 2688) if extractor else (pyramid, 512)
    check(kernels, make_inputs(sizes, fused, queries=queries, images=1, heads=12, points=4).to(*TYPES[1]))


@modes
def test_nothing_to_do(kernels: GuardedKernels, fused: bool) -> None:
    for shape in ({"images": 0}, {"queries": 0}):
        inputs = make_inputs([(3, 3)], fused, **shape)
        assert kernels.forward(inputs).numel() == 0
        value, positions, scores = kernels.backward(inputs, cotangent(inputs))
        assert not value.any()
        assert positions.shape == inputs.positions.shape
        assert scores.shape == inputs.scores.shape


def test_no_points_give_zeros(kernels: GuardedKernels) -> None:
    assert not kernels.forward(make_inputs([(3, 3)], fused=True, points=0)).any()


@modes
@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 1e9, -1e9, 1e37, -3.0])
def test_far_outside_and_not_finite_positions_count_nothing(
    kernels: GuardedKernels, number: float, fused: bool
) -> None:
    inputs = make_inputs([(4, 5), (2, 2)], fused)
    for axes in ((0,), (1,), (0, 1)):
        positions = inputs.positions.clone()
        positions[0, :, 0, :, 1, axes] = number * (10 if fused else 1)
        outside = replace(inputs, positions=positions)
        check(kernels, outside)
        _, gradient, _ = kernels.backward(outside, cotangent(outside))
        assert not gradient[0, :, 0, :, 1].any()


def test_what_lies_nowhere_takes_nothing_from_values_that_are_not_finite(kernels: GuardedKernels) -> None:
    inputs = make_inputs([(4, 5)], fused=False)
    outside = replace(
        inputs,
        value=torch.full_like(inputs.value, float("inf")),
        positions=torch.full_like(inputs.positions, float("nan")),
    )
    assert not kernels.forward(outside).any()
    assert all(not gradient.any() for gradient in kernels.backward(outside, cotangent(outside)))


def test_positions_on_borders_and_in_centres(kernels: GuardedKernels) -> None:
    """Every pair of a map's edges, the centres of its outermost pixels and of the zeros beside them."""
    height, width = 3, 4
    columns, rows = (torch.tensor([-0.5, 0, 0.5, 1, n - 0.5, n, n + 0.5]) / n for n in (width, height))
    positions = torch.cartesian_prod(columns, rows).view(1, -1, 1, 1, 1, 2)
    inputs = make_inputs([(height, width)], fused=False, images=1, queries=positions.shape[1], heads=1, points=1)
    assert_near(
        kernels.forward(replace(inputs, positions=positions)), by_definition(replace(inputs, positions=positions))
    )


def test_large_logits_do_not_overflow(kernels: GuardedKernels) -> None:
    inputs = make_inputs(PYRAMID, fused=True)
    check(kernels, replace(inputs, scores=inputs.scores * 100 + 1000))
    masked = inputs.scores.clone()
    masked[:, :, :, 1:] = float("-inf")
    check(kernels, replace(inputs, scores=masked))


def test_logits_that_are_not_numbers_show(kernels: GuardedKernels) -> None:
    inputs = make_inputs(PYRAMID, fused=True)
    scores = inputs.scores.clone()
    scores[0, 0, 0, 0, 0] = float("nan")
    output = kernels.forward(replace(inputs, scores=scores))
    assert output[0, 0, 0].isnan().all()
    assert output[0, 1:].isfinite().all()


@modes
@pytest.mark.parametrize("types", TYPES[:3], ids=["float64", "float32", "bfloat16"])
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
