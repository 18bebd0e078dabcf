from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from prolab_model.heads import PropertyFCNHead, PropertySegformerHead, PropertySeparableASPPHead, PropertyUPerHead
from prolab_model.openmmlab import DepthwiseSeparableASPPHead, FCNHead, SegformerHead, UPerHead

CHANNELS, EMBEDDING = 8, 12
FOUR_MAPS: dict[str, Any] = {"in_channels": [6, 6, 6, 6], "in_index": [0, 1, 2, 3]}
DEEPEST: dict[str, Any] = {"in_channels": 6, "in_index": 3}


@pytest.mark.parametrize(
    ("ours", "original", "options"),
    [
        (PropertyUPerHead, UPerHead, FOUR_MAPS),
        (PropertyFCNHead, FCNHead, DEEPEST),
        (PropertySeparableASPPHead, DepthwiseSeparableASPPHead, DEEPEST | {"c1_in_channels": 6, "c1_channels": 4}),
        (PropertySegformerHead, SegformerHead, FOUR_MAPS),
    ],
)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
def test_features_classified_are_mmsegmentations_output(
    ours: type, original: type, options: dict[str, Any], training: bool, size: tuple[int, int]
) -> None:
    """Same parameters by name, same output, and in training the same gradients."""
    torch.manual_seed(0)
    options = options | {
        "channels": CHANNELS,
        "num_classes": EMBEDDING,
        "dropout_ratio": 0.0,
        "norm_cfg": {"type": "BN"},
        "align_corners": False,
    }
    theirs = original(**options).double().train(training)
    head = ours(**options).double().train(training)
    head.load_state_dict(theirs.state_dict())
    maps = [torch.randn(2, 6, size[0] // stride, size[1] // stride, dtype=torch.float64) for stride in (4, 8, 16, 32)]
    features: Tensor = head(maps)
    assert features.shape[1] == CHANNELS
    output, expected = head.conv_seg(features), theirs(maps)
    torch.testing.assert_close(output, expected)
    seen = torch.randn_like(expected)
    output.backward(seen)
    expected.backward(seen)
    for (name, mine), reference in zip(head.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, reference.grad, msg=name)
