from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model.recompute import recompute


def test_gradients_are_the_same_and_the_last_linear_layer_runs_once() -> None:
    torch.manual_seed(0)
    linear, x = nn.Linear(8, 4), torch.randn(3, 8, requires_grad=True)
    reached: list[str] = []

    def gelu_and_linear(x: Tensor) -> Tensor:
        activated = F.gelu(x)
        reached.append("linear")
        out: Tensor = linear(activated)
        reached.append("end")
        return out

    expected = torch.autograd.grad(linear(F.gelu(x)).square().sum(), [x, linear.weight])
    actual = torch.autograd.grad(recompute(gelu_and_linear, x).square().sum(), [x, linear.weight])
    assert all(torch.equal(ours, wanted) for ours, wanted in zip(actual, expected, strict=True))
    assert reached == ["linear", "end", "linear"]


def test_what_is_recomputed_within_is_not_recomputed_again() -> None:
    runs: list[str] = []

    def inner(x: Tensor) -> Tensor:
        runs.append("inner")
        return x.sin()

    def outer(x: Tensor) -> Tensor:
        runs.append("outer")
        return recompute(inner, x).exp().cos()

    x = torch.randn(3, requires_grad=True)
    recompute(outer, x).sum().backward()
    assert runs == ["outer", "inner"] * 2
    runs.clear()
    recompute(inner, x).sum().backward()  # and the mark does not outlive a call
    assert runs == ["inner"] * 2


def test_nothing_is_computed_twice_without_gradients() -> None:
    runs: list[int] = []

    def count(x: Tensor) -> Tensor:
        runs.append(1)
        return x.sin()

    with torch.no_grad():
        recompute(count, torch.ones(2, requires_grad=True))
    assert len(runs) == 1
