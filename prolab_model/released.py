"""Checkpoints that the authors of ProLab released, and those that their code writes (spec 2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from prolab_model.bank import Bank
from prolab_model.label_space import PropertyLabelSpace
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor
from prolab_model.torch_file import read_torch_file

_LABEL_SPACE = "label_space."
_SHOWN = 12


@dataclass(frozen=True)
class ReleasedWeights:
    """A checkpoint file of mmcv.

    Attributes:
        state: tensors by the names that the network has for them.
        meta: what the program that wrote the file noted: its version, the config, the iteration, the classes.
    """

    state: Mapping[str, Tensor]
    meta: Mapping[str, Any]


def read_released(path: Path) -> ReleasedWeights:
    """Read a checkpoint file `{meta, state_dict, optimizer}` of mmcv; the optimizer's state is left on the disk.

    The prefix `module.` of a network that trained on several devices is taken off, and the indices into
    relative-position tables, which follow from the tables' size, are passed over.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it holds something else.
    """
    content = read_torch_file(path)
    state = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        found = ", ".join(list(map(str, content))[:_SHOWN]) if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"{path}: expected a checkpoint of mmcv, a dict with tensors in `state_dict`; found {found}")
    return ReleasedWeights(
        state={
            name.removeprefix("module."): value
            for name, value in state.items()
            if not name.endswith(".relative_position_index")
        },
        meta=content.get("meta") or {},
    )


def load_released(network: Mapping[str, Any], checkpoint: Path, bank: Bank) -> PropertySegmentor:
    """The segmentor of a released checkpoint and its bank, in evaluation mode, on the CPU.

        network = read_config("configs/models/ade20k_vit_adapter_b.py")["model"]
        bank = read_bank(Path("ade_desc_bge-base-en-v1.5_gpt3.5_cluster_256_embedding_bank.pth"))
        segmentor = load_released(network, Path("checkpoint.pth"), bank)

    Args:
        network: the network's config; the bank decides the sizes of its label space.
        checkpoint: a file of mmcv's, see `read_released`.
        bank: properties and classes of the data set that the checkpoint was trained on.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when file, network and bank do not belong together, with the names and shapes that differ.
    """
    return build_released(network, read_released(checkpoint).state, bank, source=str(checkpoint))


def build_released(
    network: Mapping[str, Any], state: Mapping[str, Tensor], bank: Bank, source: str
) -> PropertySegmentor:
    """The segmentor of a released checkpoint that was read from `source`; see `load_released`.

    Raises:
        ValueError: when weights, network and bank do not belong together.
    """
    if network["label_space"].get("kind", "properties") != "properties":
        raise ValueError(f"expected a network over properties, got label_space {network['label_space']}")
    (classes, properties), width = bank.class_matrix.shape, bank.centres.shape[1]
    sized = sized_network(network, properties=properties, classes=classes, width=width)
    segmentor: PropertySegmentor = build_segmentor(sized)
    assert isinstance(segmentor.label_space, PropertyLabelSpace)
    own = {name: value for name, value in segmentor.state_dict().items() if not name.startswith(_LABEL_SPACE)}
    _require_same_tensors(state, own, source)
    for name, value in own.items():
        value.copy_(state[name])
    segmentor.label_space.assign(bank.centres, bank.class_matrix)
    segmentor.eval()
    return segmentor


def _require_same_tensors(state: Mapping[str, Tensor], own: Mapping[str, Tensor], source: str) -> None:
    differences = {
        "missing in the file": [name for name in own if name not in state],
        "unknown to the network": [name for name in state if name not in own],
        "of another shape": [
            f"{name} (file {tuple(state[name].shape)}, network {tuple(value.shape)})"
            for name, value in own.items()
            if name in state and state[name].shape != value.shape
        ],
    }
    lines = [f"  {len(names)} {what}: {_shortened(names)}" for what, names in differences.items() if names]
    if lines:
        raise ValueError("\n".join([f"{source}: not the weights of this network with this bank:", *lines]))


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
