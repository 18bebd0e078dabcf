"""What can be shown of GPUs without one: no tensor on the wrong device, no waiting for figures, half the precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.prolab_model.variety import LABEL_SPACES, batch, small_network

# Backbones and label spaces know nothing of each other: every one of each is enough.
CASES = [*(("vit", label_space) for label_space in LABEL_SPACES), ("beit", "normalised")]
aten = torch.ops.aten


class NoWaiting(TorchDispatchMode):
    """Fails where a GPU would have to finish first: values or shapes that the host asks for, and copies to or fro."""

    ASKED = frozenset(
        (
            aten._local_scalar_dense.default,
            aten._unique2.default,
            aten.equal.default,
            aten.is_nonzero.default,
            aten.lift_fresh.default,  # a tensor of numbers that the host holds, which it must send
            aten.masked_select.default,
            aten.nonzero.default,
            aten.unique_dim.default,
        )
    )
    COPIES = frozenset((aten._to_copy.default, aten.copy_.default))

    def __torch_dispatch__(
        self, function: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        by_mask = function in (aten.index.Tensor, aten.index_put_.default) and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        outputs = function(*args, **kwargs or {})
        devices = {leaf.device for leaf in tree_leaves((args, kwargs, outputs)) if isinstance(leaf, Tensor)}
        if function in self.ASKED or by_mask or (function in self.COPIES and len(devices) > 1):
            raise AssertionError(f"the host waits for {function}")
        return outputs


@pytest.mark.parametrize(("backbone", "label_space"), CASES)
def test_training_step_leaves_the_device_alone(backbone: str, label_space: str) -> None:
    """On the meta device tensors have no values, and one that is made on another device meets none of the rest."""
    segmentor = small_network(backbone, label_space).to("meta").train()
    data = {name: value.to("meta") if isinstance(value, Tensor) else value for name, value in batch().items()}
    losses = segmentor.forward_train(**data)
    sum(value for name, value in losses.items() if "loss" in name).backward()
    assert {value.device.type for value in losses.values()} == {"meta"}
    assert [name for name, parameter in segmentor.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize(("backbone", "label_space"), CASES)
def test_training_step_waits_for_nothing(backbone: str, label_space: str) -> None:
    segmentor = small_network(backbone, label_space).train()
    data = batch()
    with NoWaiting():
        segmentor.train_step(data, None)["loss"].backward()


@pytest.mark.parametrize(
    "ask",
    [
        lambda values: values.sum().item(),
        lambda values: values[values > 0],
        lambda values: values.nonzero(),
        lambda values: bool((values > 0).all()),
        lambda values: values.to("meta"),
        lambda values: values + torch.tensor([1.0, 2.0, 3.0], device=values.device),
    ],
)
def test_waiting_is_noticed(ask: Any) -> None:
    with pytest.raises(AssertionError, match="the host waits for aten"), NoWaiting():
        ask(torch.randn(3))


@pytest.mark.parametrize(("backbone", "label_space"), CASES)
def test_bfloat16_gives_the_losses_of_float32_within_one_percent(backbone: str, label_space: str) -> None:
    losses = {}
    for dtype in (None, torch.bfloat16):
        segmentor = small_network(backbone, label_space).eval()  # the same in both: nothing is dropped
        segmentor.autocast = dtype
        losses[dtype] = segmentor.train_step(batch(), None)["loss"]
        losses[dtype].backward()
    assert losses[torch.bfloat16].dtype == torch.float32
    torch.testing.assert_close(losses[torch.bfloat16], losses[None], rtol=0.01, atol=0)
    gradients = [parameter.grad for parameter in segmentor.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
