"""What torch does with the operators: gradients in float64, fake tensors, tracing, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ops import MSDeformAttn, multi_scale_deformable_attention, multi_scale_deformable_attention_of_offsets
from ops.library import LIBRARIES, sum_type
from tests.ops.problems import PYRAMID, Inputs, make_inputs

pytestmark = pytest.mark.skipif(not LIBRARIES["cpu"].kernels, reason=f"no compiled kernels: {LIBRARIES['cpu'].built}")
modes = pytest.mark.parametrize("fused", [False, True], ids=["locations", "fused"])
SIZES = [side for size in PYRAMID for side in size]


def operands(
    inputs: Inputs, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, list[int], Tensor | None, Tensor, Tensor]:
    """Arguments of the operator, all of which but the reference want gradients."""
    value, positions, scores = (tensor.to(dtype).requires_grad_() for tensor in inputs.tensors())
    reference = None if inputs.reference is None else inputs.reference.to(sum_type(dtype))
    return value, [side for size in inputs.sizes for side in size], reference, positions, scores


@modes
@pytest.mark.parametrize("channels", [3, 8])
@pytest.mark.parametrize("sizes", [[(3, 4)], [(4, 3), (1, 2)], [(1, 1)]], ids=str)
def test_gradients_are_those_of_the_output(sizes: list[tuple[int, int]], channels: int, fused: bool) -> None:
    value, flat, reference, positions, scores = operands(
        make_inputs(sizes, fused, channels, images=1, queries=2, points=2)
    )

    def sampled(value: Tensor, positions: Tensor, scores: Tensor) -> Tensor:
        output: Tensor = torch.ops.prolab.deformable_attention(value, flat, reference, positions, scores)
        return output

    assert torch.autograd.gradcheck(sampled, (value, positions, scores), nondet_tol=0)


@modes
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_registration_is_whole(fused: bool, dtype: torch.dtype) -> None:
    arguments = operands(make_inputs(PYRAMID, fused), dtype)
    torch.library.opcheck(torch.ops.prolab.deformable_attention, arguments)
    grad_output = torch.ops.prolab.deformable_attention(*arguments).detach()
    detached = [item.detach() if isinstance(item, Tensor) else item for item in arguments]
    torch.library.opcheck(torch.ops.prolab.deformable_attention_backward, (grad_output, *detached))


def call(fused: bool) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The public function, as a function of tensors alone."""
    if fused:
        return lambda value, reference, positions, scores: multi_scale_deformable_attention_of_offsets(
            value, PYRAMID, reference, positions, scores
        )
    return lambda value, reference, positions, scores: multi_scale_deformable_attention(
        value, PYRAMID, positions, scores
    )


@modes
@pytest.mark.parametrize("dynamic", [False, True])
def test_compiles_to_one_graph(fused: bool, dynamic: bool) -> None:
    function = call(fused)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=dynamic)
    for queries in (5, 9):
        inputs = make_inputs(PYRAMID, fused, queries=queries)
        leaves = [tensor.requires_grad_() for tensor in inputs.tensors()]
        reference = torch.rand(queries, 2)
        ours, theirs = (run(leaves[0], reference, *leaves[1:]) for run in (function, compiled))
        assert torch.equal(ours, theirs)
        gradients = [torch.autograd.grad(output.square().sum(), leaves) for output in (ours, theirs)]
        assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_exports_with_any_size_of_photo() -> None:
    """The operator itself; networks are exported by grid_sample, which other runtimes have, too."""

    class Sample(nn.Module):
        def forward(self, maps: Tensor, reference: Tensor, offsets: Tensor, logits: Tensor) -> Tensor:
            batch, channels, height, width = maps.shape
            value = maps.flatten(2).transpose(1, 2).reshape(batch, height * width, 2, channels // 2)
            output: Tensor = torch.ops.prolab.deformable_attention(value, [height, width], reference, offsets, logits)
            return output

    def arguments(batch: int, height: int, width: int, queries: int) -> tuple[Tensor, ...]:
        shape = (batch, queries, 2, 1, 4)
        return (
            torch.randn(batch, 16, height, width),
            torch.rand(queries, 2),
            torch.randn(*shape, 2),
            torch.randn(*shape),
        )

    dim = torch.export.Dim
    batch, queries = dim("batch", min=1, max=64), dim("queries", min=2, max=4096)
    shapes = (
        {0: batch, 2: dim("height", min=2, max=512), 3: dim("width", min=2, max=512)},
        {0: queries},
        {0: batch, 1: queries},
        {0: batch, 1: queries},
    )
    program = torch.export.export(Sample(), arguments(3, 6, 5, 7), dynamic_shapes=shapes)
    assert any("deformable_attention" in str(node.target) for node in program.graph.nodes)
    other = arguments(1, 9, 13, 20)
    torch.testing.assert_close(program.module()(*other), Sample()(*other))


@modes
def test_autocast_leaves_the_types_to_the_module(fused: bool) -> None:
    inputs = make_inputs(PYRAMID, fused)
    value, positions, scores = inputs.tensors()
    with torch.autocast("cpu", torch.bfloat16):
        output = call(fused)(value.bfloat16(), torch.rand(5, 2), positions, scores)
        assert output.dtype == torch.bfloat16
        assert call(fused)(value, torch.rand(5, 2), positions, scores).dtype == torch.float32


def test_module_trains_under_autocast() -> None:
    torch.manual_seed(0)
    attention = MSDeformAttn(dim=64, levels=3, heads=2, points=4, ratio=0.5)
    tokens = sum(height * width for height, width in PYRAMID)
    query, value, reference = torch.randn(1, 9, 64), torch.randn(1, tokens, 64), torch.rand(9, 2)
    exact = torch.autograd.grad(attention(query, reference, value, PYRAMID).square().sum(), attention.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        output = attention(query, reference, value, PYRAMID)
    rounded = torch.autograd.grad(output.float().square().sum(), attention.parameters())
    for one, other in zip(exact, rounded, strict=True):
        assert (one - other).norm() < 0.05 * one.norm()


@modes
def test_vmap_is_refused(fused: bool) -> None:
    value, positions, scores = make_inputs(PYRAMID, fused).tensors()
    reference = torch.rand(5, 2)
    with pytest.raises(RuntimeError, match="does not work under vmap"):
        torch.vmap(lambda values: call(fused)(values, reference, positions, scores))(torch.stack([value, value]))


@modes
def test_differentiating_twice_is_refused(fused: bool) -> None:
    value, sizes, reference, positions, scores = operands(make_inputs(PYRAMID, fused))
    output = torch.ops.prolab.deformable_attention(value, sizes, reference, positions, scores)
    (gradient,) = torch.autograd.grad(output.square().sum(), positions, create_graph=True)
    with pytest.raises(RuntimeError, match="cannot be differentiated twice"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"positions": torch.bfloat16}, "must both be of the values' type or of torch.float32"),
        ({"reference": torch.float64}, r"reference must be \(5, 2\) of torch.float32"),
        ({"sizes": [3, 3, 1, 1, 1, 1]}, "hold 11 tokens; value has 126"),
        ({"sizes": [126, 1]}, "2 sizes do not fit"),
    ],
    ids=["positions", "reference", "tokens", "levels"],
)
def test_operands_that_do_not_fit_are_refused(change: dict[str, Any], error: str) -> None:
    names = ("value", "sizes", "reference", "positions", "scores")
    given = dict(zip(names, operands(make_inputs(PYRAMID, fused=True), torch.float32), strict=True))
    for name, new in change.items():
        given[name] = new if isinstance(new, list) else given[name].detach().to(new)
    with pytest.raises(RuntimeError, match=error):
        torch.ops.prolab.deformable_attention(*given.values())


def test_gradient_of_the_reference_goes_another_way() -> None:
    """The kernel has none; the function then computes locations by itself."""
    inputs = make_inputs(PYRAMID, fused=True)
    assert inputs.reference is not None
    reference = inputs.reference.requires_grad_()
    output = multi_scale_deformable_attention_of_offsets(
        inputs.value, PYRAMID, reference, inputs.positions, inputs.scores
    )
    (gradient,) = torch.autograd.grad(output.sum(), reference)
    assert gradient.abs().sum() > 0
    with pytest.raises(RuntimeError, match="no gradient for the reference points"):
        torch.ops.prolab.deformable_attention(inputs.value, SIZES, reference, inputs.positions, inputs.scores)
