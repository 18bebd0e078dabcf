"""Heads, losses and class scores against figures of the original network (spec, appendix A), in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model.dataset_config import IGNORED
from prolab_model.heads import PropertyFCNHead, PropertyUPerHead
from prolab_model.label_space import PropertyLabelSpace
from prolab_model.vit_adapter import ViTAdapter

DIM, WIDTH, PROPERTIES, CLASSES = 48, 24, 10, 6
HEIGHT, SCALE_WIDTH = 64, 96


def fill(module: nn.Module) -> nn.Module:
    """Give every parameter and buffer the values that its place in the sorted state says; integers keep theirs."""
    state = module.state_dict()
    for index, (name, value) in enumerate(sorted(state.items())):
        if not value.is_floating_point():
            continue
        flat = torch.arange(value.numel(), dtype=torch.float64)
        last = name.rpartition(".")[2]
        if last == "running_var":
            filled = 1 + 0.5 * (flat + index).sin() ** 2
        elif last in ("bias", "running_mean"):
            filled = 0.1 * (flat + index).sin()
        elif value.ndim == 1:
            filled = 1 + 0.1 * (flat + index).sin()
        else:
            filled = math.sqrt(2 * value.shape[0] / value.numel()) * (0.37 * flat + index).sin()
        state[name] = filled.view_as(value)
    module.double().load_state_dict(state)
    return module.eval()


@pytest.fixture(scope="module")
def features() -> tuple[Tensor, ...]:
    backbone = ViTAdapter(
        dim=DIM,
        depth=4,
        heads=4,
        interactions=[(0, 0), (1, 1), (2, 2), (3, 3)],
        deform_heads=4,
        drop_path=0.0,
        conv_inplanes=8,
        pretrain_grid=14,
    )
    image = (0.05 * torch.arange(3 * HEIGHT * SCALE_WIDTH, dtype=torch.float64)).sin()
    with torch.no_grad():
        maps: tuple[Tensor, ...] = fill(backbone)(image.view(1, 3, HEIGHT, SCALE_WIDTH))
    return maps


@pytest.fixture(scope="module")
def uper() -> nn.Module:
    head = PropertyUPerHead(
        in_channels=[DIM] * 4,
        in_index=[0, 1, 2, 3],
        channels=32,
        num_classes=WIDTH,
        norm_cfg={"type": "BN"},
        align_corners=False,
    )
    assert len(head.state_dict()) == 74
    return fill(head)


@pytest.fixture(scope="module")
def fcn() -> nn.Module:
    head = PropertyFCNHead(
        in_channels=DIM,
        in_index=2,
        channels=16,
        num_convs=1,
        concat_input=False,
        num_classes=WIDTH,
        norm_cfg={"type": "BN"},
        align_corners=False,
    )
    assert len(head.state_dict()) == 8
    return fill(head)


def label_space(temperature: float, normalise: bool, sigmoid: bool) -> PropertyLabelSpace:
    space = PropertyLabelSpace(PROPERTIES, CLASSES, WIDTH, temperature, normalise, sigmoid)
    # The file has centres as (D, K).
    centres = (0.7 * torch.arange(WIDTH * PROPERTIES, dtype=torch.float64)).sin().view(WIDTH, PROPERTIES).T
    class_matrix = torch.zeros(CLASSES, PROPERTIES)
    for number in range(CLASSES):
        class_matrix[number, [number, (2 * number + 3) % 10, (3 * number + 7) % 10]] = 1
    space.assign(centres.float(), class_matrix)
    return space.double()


def figures(values: Tensor) -> tuple[float, float]:
    return values.mean().item(), values.std(correction=0).item()


def test_embeddings(features: tuple[Tensor, ...], uper: nn.Module, fcn: nn.Module) -> None:
    with torch.no_grad():
        of_uper, of_fcn = uper.conv_seg(uper(features)), fcn.conv_seg(fcn(features))
    assert (tuple(of_uper.shape), tuple(of_fcn.shape)) == ((1, WIDTH, 16, 24), (1, WIDTH, 4, 6))
    assert figures(of_uper) == pytest.approx((0.00440640, 0.06966769), abs=6e-9)
    assert figures(of_fcn) == pytest.approx((0.01622247, 0.17420583), abs=6e-9)


@pytest.mark.parametrize(
    ("space", "uper_loss", "fcn_loss", "uper_scores", "fcn_scores"),
    [
        ((0.04, False, True), 0.51514561, 0.67596734, (0.55807521, 0.03934721), (0.37282629, 0.09076740)),
        ((0.01, True, True), 0.56061470, 0.75478099, (0.50539840, 0.06946254), (0.28036888, 0.08766909)),
        ((1.0, True, False), 0.86528156, 1.13690392, (0.15624040, 0.11844646), (-0.15889807, 0.13731228)),
    ],
    ids=["sigmoid", "sigmoid of unit embeddings", "plain"],
)
def test_losses_and_class_scores(
    features: tuple[Tensor, ...],
    uper: nn.Module,
    fcn: nn.Module,
    space: tuple[float, bool, bool],
    uper_loss: float,
    fcn_loss: float,
    uper_scores: tuple[float, float],
    fcn_scores: tuple[float, float],
) -> None:
    own = label_space(*space)
    labels = (torch.arange(HEIGHT * SCALE_WIDTH) // 100 % 7).view(1, HEIGHT, SCALE_WIDTH)
    labels[labels == CLASSES] = IGNORED
    for head, loss, scores in ((uper, uper_loss, uper_scores), (fcn, fcn_loss, fcn_scores)):
        with torch.no_grad():
            seen = head(features)
            value, _ = own.loss(seen, head.conv_seg, labels, torch.ones(CLASSES).double(), count_ignored=True)
            small = own.class_scores(own.similarities(seen, head.conv_seg))
        assert value.item() == pytest.approx(loss, abs=6e-9)
        full = F.interpolate(small, size=(HEIGHT, SCALE_WIDTH), mode="bilinear", align_corners=False)
        assert figures(full) == pytest.approx(scores, abs=6e-9)
