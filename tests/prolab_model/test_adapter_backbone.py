"""What holds for ViT-Adapter and BEiT-Adapter alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from prolab_model.adapter_backbone import AdapterBackbone
from tests.prolab_model.backbones import small_beit, small_vit

Make = Callable[..., AdapterBackbone]

both = pytest.mark.parametrize("make", [small_vit, small_beit], ids=["vit", "beit"])


def scalar(maps: tuple[Tensor, ...]) -> Tensor:
    """A number in which every pixel of every map counts differently."""
    return sum((level * torch.linspace(-1, 1, level.numel()).view_as(level)).sum() for level in maps)


@both
@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)], ids=str)
def test_maps_have_strides_4_8_16_32(make: Make, size: tuple[int, int]) -> None:
    with torch.no_grad():
        maps = make().eval()(torch.randn(1, 3, *size))
    assert [tuple(level.shape) for level in maps] == [
        (1, 24, size[0] // stride, size[1] // stride) for stride in (4, 8, 16, 32)
    ]


@both
def test_every_parameter_learns(make: Make) -> None:
    backbone = make()
    scalar(backbone(torch.randn(2, 3, 64, 64))).backward()
    without = [name for name, parameter in backbone.named_parameters() if parameter.grad is None]
    assert without == []


@both
def test_sides_that_are_no_multiples_of_32_are_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="multiples of 32; got 64 x 100"):
        make()(torch.zeros(1, 3, 64, 100))


@both
def test_runs_that_leave_out_a_block_are_refused(make: Make) -> None:
    with pytest.raises(ValueError, match="cover blocks 0 to 3 in order"):
        make(interactions=[(0, 0), (1, 1), (2, 2), (2, 3)])


@both
def test_checkpointed_activations_give_the_same_gradients(make: Make) -> None:
    """To the last bit, with images dropped at random: the second run draws the first one's numbers."""
    images = torch.randn(4, 3, 64, 64)
    gradients = []
    for checkpoint_activations in (False, True):
        backbone = make(drop_path=0.5, checkpoint_activations=checkpoint_activations).train()
        torch.manual_seed(1)
        scalar(backbone(images)).backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    for kept, computed_again in zip(*gradients, strict=True):
        assert torch.equal(kept, computed_again)


def saved_bytes(backbone: AdapterBackbone) -> int:
    """What a forward pass keeps for the backward pass, parameters apart."""
    own = {parameter.untyped_storage().data_ptr() for parameter in backbone.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    images = torch.randn(2, 3, 128, 128)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        maps = backbone(images)
    assert maps[0].requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@both
def test_checkpointed_activations_are_not_kept(make: Make) -> None:
    assert saved_bytes(make(checkpoint_activations=True)) < saved_bytes(make()) / 2


@both
@pytest.mark.parametrize("checkpoint_activations", [False, True])
def test_training_needs_no_values_from_the_device(make: Make, checkpoint_activations: bool) -> None:
    """On the meta device nothing can be read back, and no tensor can come from elsewhere."""
    with torch.device("meta"):
        backbone = make(checkpoint_activations=checkpoint_activations)
    maps = backbone(torch.empty(2, 3, 64, 96, device="meta"))
    sum(level.sum() for level in maps).backward()
    assert all(parameter.grad.is_meta for parameter in backbone.parameters())


@both
def test_bfloat16_autocast_trains(make: Make) -> None:
    backbone, images = make(drop_path=0.0), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        exact = backbone(images)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = backbone(images)
    for level, expected in zip(rounded, exact, strict=True):
        assert (level.float() - expected).norm() < 0.05 * expected.norm()
    scalar(rounded).backward()
    assert all(parameter.grad.isfinite().all() for parameter in backbone.parameters())


@pytest.mark.slow
@both
def test_compiles_whole(make: Make) -> None:
    backbone = make(drop_path=0.0, checkpoint_activations=True).double()
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    scalar(backbone(images)).backward()
    expected = [parameter.grad.clone() for parameter in backbone.parameters()]
    backbone.zero_grad()
    torch.compiler.reset()
    scalar(torch.compile(backbone, fullgraph=True, backend="eager")(images)).backward()
    for parameter, gradient in zip(backbone.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-8, atol=1e-8)
