"""Configs of networks: what a label space adds to one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def sized_network(network: Mapping[str, Any], *, properties: int, classes: int, width: int) -> dict[str, Any]:
    """A copy of a network's config with the sizes that its label space decides.

    Args:
        network: `model` of a file under `configs/models`.
        properties: K.
        classes: N.
        width: D, the channels of an embedding, which the heads predict.
    """
    sized = copy.deepcopy(dict(network))
    sized["label_space"] |= {"properties": properties, "classes": classes, "width": width}
    for head in ("decode_head", "auxiliary_head"):
        if sized.get(head) is not None:
            sized[head]["num_classes"] = width
    return sized
