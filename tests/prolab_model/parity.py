"""The network beside outputs of the original implementation: what `tests/parity.py` runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prolab_model.bank import Bank
from prolab_model.dataset_config import IGNORED
from prolab_model.released import build_released
from prolab_model.segmentor import PropertySegmentor

TOLERANCE = 1e-6
# Relative to the largest: a bias that a batch norm takes off again has the rounding of others for a gradient (1e-18).
SMALLEST_GRADIENT = 1e-9

Array = npt.NDArray[Any]

_INPUTS = {"net", "cfg", "img", "gt", "big", "ori", "bank/centres", "bank/labels"}
# Settings of the original that our network knows in one state only.
_FIXED = {
    "patch_size": 16,
    "qkv_bias": True,
    "layer_scale": True,
    "use_abs_pos_emb": False,
    "use_rel_pos_bias": True,
    "use_shared_rel_pos_bias": False,
    "window_attn": False,
    "add_vit_feature": True,
    "use_extra_extractor": True,
    "align_corners": False,
}


class ParityError(ValueError):
    """A file cannot be compared: says what in it is not known, is missing or does not fit."""


@dataclass(frozen=True)
class Difference:
    """The largest difference of a quantity, relative to its largest value."""

    quantity: str
    value: float

    @property
    def within(self) -> bool:
        """Whether it is small enough; not a number is not."""
        return self.value <= TOLERANCE


def compare_file(path: Path) -> list[Difference]:
    """Differences of every quantity in a file.

    Raises:
        ParityError: the file holds a setting or a quantity that is not known, or lacks one.
    """
    with np.load(path) as file:
        recorded = {name: file[name] for name in file.files}
    return compare(recorded)


def compare(recorded: Mapping[str, Array]) -> list[Difference]:
    """Differences of every quantity in a file's arrays, see `compare_file`."""
    quantities = [name for name in recorded if name not in _INPUTS and not name.startswith("sd/")]
    net = json.loads(str(_taken(recorded, "net")))
    segmentor = build_network(net, recorded)
    made = {**_inference(segmentor, recorded), **_training(segmentor, net, recorded)}
    if unknown := [name for name in quantities if name not in made]:
        raise ParityError(f"quantities that this program does not know: {', '.join(unknown)}")
    gradients = [name for name in quantities if name.startswith("grad/")]
    if not quantities:
        raise ParityError("there is nothing to compare in the file")
    if gradients and (absent := [name for name in made if name.startswith("grad/") and name not in gradients]):
        raise ParityError(f"parameters of the network without a gradient in the file: {', '.join(absent)}")
    differences = [_difference(name, made[name], recorded[name]) for name in quantities if name not in gradients]
    return differences + ([_worst_gradient(gradients, made, recorded)] if gradients else [])


def build_network(net: Mapping[str, Any], recorded: Mapping[str, Array]) -> PropertySegmentor:
    """The network that a file's `net` describes, with the file's weights and bank, in float64.

    Raises:
        ParityError: a setting is missing, is not known, or has a value that the network does not support.
    """
    centres, labels = (torch.from_numpy(_taken(recorded, f"bank/{name}")).float() for name in ("centres", "labels"))
    bank = Bank(centres.T, labels.T)
    state = {name[3:]: torch.from_numpy(value) for name, value in recorded.items() if name.startswith("sd/")}
    state = {name: value for name, value in state.items() if not name.endswith(".relative_position_index")}
    config = network_config(net)
    sizes = {"num_properties": len(bank.centres), "num_classes": len(bank.class_matrix)}
    for name, size in {**sizes, "num_outputs": bank.centres.shape[1]}.items():
        if net.get(name, size) != size:
            raise ParityError(f"net: {name} is {net[name]}, but the bank has {size}")
    try:
        segmentor = build_released(config, state, bank, source="sd")
    except ValueError as error:
        raise ParityError(str(error)) from error
    segmentor.double()
    return segmentor


def network_config(net: Mapping[str, Any]) -> dict[str, Any]:
    """Config of the network that `net` describes, without the sizes that its bank decides.

    Raises:
        ParityError: a setting is missing, is not known, or has a value that the network does not support.
    """
    settings = dict(net)

    def take(name: str) -> Any:
        if name not in settings:
            raise ParityError(f"net: no {name}; it has {', '.join(net)}")
        return settings.pop(name)

    width = take("embed_dim")
    dropout = take("dropout_ratio")
    backbone = {
        "type": take("backbone"),
        "dim": width,
        "depth": take("depth"),
        "heads": take("num_heads"),
        "interactions": take("interaction_indexes"),
        "deform_heads": take("deform_num_heads"),
        "drop_path": take("drop_path_rate"),
        "mlp_ratio": take("mlp_ratio"),
        "conv_inplanes": take("conv_inplane"),
        "deform_points": take("n_points"),
        "deform_ratio": take("deform_ratio"),
        "ffn_ratio": take("cffn_ratio"),
    }
    grid = _grid(take("img_size"))
    if backbone["type"] == "ViTAdapter":
        backbone |= {"pretrain_grid": grid}
    elif backbone["type"] == "BEiTAdapter":
        backbone |= {"grid": grid, "layer_scale": take("init_values")}
    else:
        raise ParityError(f"net: backbone: expected ViTAdapter or BEiTAdapter, got {backbone['type']!r}")
    ignore_index = take("ignore_index")
    if ignore_index not in (None, IGNORED):
        raise ParityError(f"net: ignore_index: expected null or {IGNORED}, got {ignore_index!r}")
    head = {"dropout_ratio": dropout, "norm_cfg": {"type": "BN"}, "align_corners": False}
    config = {
        "type": "PropertySegmentor",
        "backbone": backbone,
        "decode_head": {
            "type": "PropertyUPerHead",
            "in_channels": [width] * 4,
            "in_index": [0, 1, 2, 3],
            "channels": take("uper_channels"),
            "pool_scales": tuple(take("pool_scales")),
            **head,
        },
        "auxiliary_head": {
            "type": "PropertyFCNHead",
            "in_channels": width,
            "in_index": 2,
            "channels": take("fcn_channels"),
            "num_convs": 1,
            "concat_input": False,
            **head,
        },
        # The original never uses the weight that its configs give the auxiliary head's loss.
        "auxiliary_weight": 1.0,
        "label_space": {"temperature": take("temperature"), "normalise": take("normalize")},
        "reference_quirks": ignore_index is None,
        "test_cfg": {"mode": "slide", "crop_size": _pair(take("test_crop")), "stride": _pair(take("test_stride"))},
    }
    for size in ("num_outputs", "num_properties", "num_classes"):
        take(size)
    for name, value in settings.items():
        if name not in _FIXED:
            raise ParityError(f"net: {name}: {value!r} is a setting that this program does not know")
        if value != _FIXED[name]:
            raise ParityError(f"net: {name}: the network supports {_FIXED[name]!r} only, got {value!r}")
    return config


def _grid(size: int | Sequence[int]) -> tuple[int, int]:
    """Rows and columns of patches of an image."""
    height, width = _pair(size)
    return height // _FIXED["patch_size"], width // _FIXED["patch_size"]


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width), for both of which one number may stand."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


@torch.no_grad()
def _inference(segmentor: PropertySegmentor, recorded: Mapping[str, Array]) -> dict[str, Tensor]:
    """Backbone maps, and class scores of a whole image and by sliding windows."""
    segmentor.eval()
    image = _image(recorded, "img")
    made = {f"feat/{level}": features for level, features in enumerate(segmentor.backbone(image))}
    made["whole"] = segmentor.encode_decode(image, [])
    if "slide" in recorded:
        large = _image(recorded, "big")
        meta = {"img_shape": (*large.shape[-2:], 3), "ori_shape": (*_taken(recorded, "ori").tolist(), 3)}
        made["slide"] = segmentor.slide_inference(large, [meta], rescale=True)
    return made


def _training(segmentor: PropertySegmentor, net: Mapping[str, Any], recorded: Mapping[str, Array]) -> dict[str, Tensor]:
    """Losses, accuracies in percent of all pixels, and [norm, sum] of every parameter's gradient."""
    if not any(name.startswith(("loss/", "grad/", "total_loss")) for name in recorded):
        return {}
    for name in ("drop_path_rate", "dropout_ratio"):
        if net[name] != 0:
            raise ParityError(f"net: {name} is {net[name]}: losses and gradients of a random network differ each time")
    segmentor.train()
    image, labels = _image(recorded, "img"), torch.from_numpy(_taken(recorded, "gt")).long()
    losses = {
        name.partition(".")[0]: loss
        for name, loss in segmentor.forward_train(image, [], labels).items()
        if name.endswith(".loss_properties")
    }
    total = sum(losses.values(), torch.zeros(()))
    segmentor.zero_grad()
    torch.autograd.backward(total)
    made = {f"loss/{head}.loss_cos_simi": loss.detach() for head, loss in losses.items()}
    made |= {"total_loss": total.detach(), **_accuracies(segmentor, image, labels[:, 0])}
    for name, parameter in segmentor.named_parameters():
        gradient = torch.zeros(1) if parameter.grad is None else parameter.grad
        made[f"grad/{name}"] = torch.stack([gradient.norm(), gradient.sum()])
    return made


@torch.no_grad()
def _accuracies(segmentor: PropertySegmentor, image: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Percent of all pixels whose class is right, for both heads; the original counts ignored pixels as wrong."""
    features = segmentor.extract_feat(image)
    accuracies = {}
    for name, head in (("decode", segmentor.decode_head), ("aux", segmentor.auxiliary_head)):
        _, right = segmentor.label_space.loss(
            head(features), head.conv_seg, labels, segmentor.class_weights, count_ignored=True
        )
        accuracies[f"loss/{name}.acc_seg"] = 100 * right
    return accuracies


def _difference(name: str, made: Tensor, recorded: Array, floor: float = 0.0) -> Difference:
    """Largest difference over the largest recorded value, or over `floor` if that is larger."""
    expected = torch.from_numpy(np.asarray(recorded)).double()
    if made.shape != expected.shape:
        raise ParityError(f"{name}: the file has shape {tuple(expected.shape)}, the network gives {tuple(made.shape)}")
    largest = (made - expected).abs().max().item()
    scale = max(expected.abs().max().item(), floor)
    return Difference(name, largest / scale if scale else float(largest > 0) * float("inf") if largest else 0.0)


def _worst_gradient(names: list[str], made: Mapping[str, Tensor], recorded: Mapping[str, Array]) -> Difference:
    floor = SMALLEST_GRADIENT * max(float(np.abs(recorded[name]).max()) for name in names)
    differences = [_difference(name, made[name], recorded[name], floor) for name in names]
    # Not a number is worse than any.
    worst = max(differences, key=lambda each: (each.value != each.value, each.value))
    return Difference(f"{len(names)} gradients, worst {worst.quantity.removeprefix('grad/')}", worst.value)


def _image(recorded: Mapping[str, Array], name: str) -> Tensor:
    return torch.from_numpy(_taken(recorded, name)).double()


def _taken(recorded: Mapping[str, Array], name: str) -> Array:
    if name not in recorded:
        raise ParityError(f"the file has no {name}")
    return recorded[name]
