"""What every compiled kernel has to do, whatever it runs on: the tests of each inherit these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from tests.ops.guarded_kernels import GuardedKernels
from tests.ops.problems import (
    LEVELS,
    PYRAMID,
    assert_near,
    by_definition,
    check,
    cotangent,
    gradients_by_definition,
    make_inputs,
)

# Of the values, and of positions and scores.
TYPES = [
    (torch.float32, torch.float32),
    (torch.bfloat16, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.float16, torch.float32),
    (torch.float16, torch.float16),
]
modes = pytest.mark.parametrize("fused", [False, True], ids=["locations", "fused"])


def types(pairs: Sequence[tuple[torch.dtype, torch.dtype]]) -> pytest.MarkDecorator:
    """A test for each pair of types."""
    names = ["-".join(str(each).removeprefix("torch.") for each in pair) for pair in pairs]
    return pytest.mark.parametrize("types", pairs, ids=names)


class KernelTests:
    """Tests that ask for the fixture `kernels`."""

    @modes
    @pytest.mark.parametrize("sizes", LEVELS, ids=str)
    def test_levels(self, kernels: GuardedKernels, sizes: Sequence[tuple[int, int]], fused: bool) -> None:
        check(kernels, make_inputs(sizes, fused))

    @modes
    @pytest.mark.parametrize("points", [1, 2, 8, 11, 47])
    def test_points(self, kernels: GuardedKernels, points: int, fused: bool) -> None:
        check(kernels, make_inputs([(6, 6), (3, 3)], fused, points=points))

    @modes
    def test_nothing_to_do(self, kernels: GuardedKernels, fused: bool) -> None:
        for shape in ({"images": 0}, {"queries": 0}):
            inputs = make_inputs([(3, 3)], fused, **shape)
            assert kernels.forward(inputs).numel() == 0
            value, positions, scores = kernels.backward(inputs, cotangent(inputs))
            assert not value.any()
            assert positions.shape == inputs.positions.shape
            assert scores.shape == inputs.scores.shape

    def test_no_points_give_zeros(self, kernels: GuardedKernels) -> None:
        assert not kernels.forward(make_inputs([(3, 3)], fused=True, points=0)).any()

    @modes
    @pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 1e9, -1e9, 1e37, -3.0])
    def test_far_outside_and_not_finite_positions_count_nothing(
        self, kernels: GuardedKernels, number: float, fused: bool
    ) -> None:
        inputs = make_inputs([(4, 5), (2, 2)], fused)
        for axes in ((0,), (1,), (0, 1)):
            positions = inputs.positions.clone()
            positions[0, :, 0, :, 1, axes] = number * (10 if fused else 1)
            outside = replace(inputs, positions=positions)
            check(kernels, outside)
            _, gradient, _ = kernels.backward(outside, cotangent(outside))
            assert not gradient[0, :, 0, :, 1].any()

    def test_positions_on_borders_and_in_centres(self, kernels: GuardedKernels) -> None:
        """Every pair of a map's edges, the centres of its outermost pixels and of the zeros beside them."""
        height, width = 3, 4
        columns, rows = (torch.tensor([-0.5, 0, 0.5, 1, n - 0.5, n, n + 0.5]) / n for n in (width, height))
        positions = torch.cartesian_prod(columns, rows).view(1, -1, 1, 1, 1, 2)
        inputs = make_inputs([(height, width)], fused=False, images=1, queries=positions.shape[1], heads=1, points=1)
        inputs = replace(inputs, positions=positions)
        assert_near(kernels.forward(inputs), by_definition(inputs))
        grad_output = cotangent(inputs)
        assert_near(kernels.backward(inputs, grad_output)[0], gradients_by_definition(inputs, grad_output)[0])

    def test_zero_weights_have_gradients(self, kernels: GuardedKernels) -> None:
        inputs = make_inputs(PYRAMID, fused=False)
        check(kernels, replace(inputs, scores=torch.zeros_like(inputs.scores)))

    def test_large_logits_do_not_overflow(self, kernels: GuardedKernels) -> None:
        inputs = make_inputs(PYRAMID, fused=True)
        check(kernels, replace(inputs, scores=inputs.scores * 100 + 1000))
        masked = inputs.scores.clone()
        masked[:, :, :, 1:] = float("-inf")
        check(kernels, replace(inputs, scores=masked))

    def test_gradients_are_added_to_those_before(self, kernels: GuardedKernels) -> None:
        """All queries at one place: every sum is of many terms."""
        inputs = make_inputs([(2, 2)], fused=False, queries=40)
        check(kernels, replace(inputs, positions=torch.full_like(inputs.positions, 0.45)))
