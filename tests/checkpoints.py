"""Small real networks with random weights, published in a store as checkpoints."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from matplotlib.figure import Figure

from artifacts import Artifact, Recipe, Store
from prolab_model.checkpoint import ModelCard, save_model
from prolab_model.dataset_config import default_palette
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor
from tasks.kinds import CHECKPOINT
from tasks.label_space import read_class_matrices, read_properties
from tests.squares import CLASSES, PALETTE

PROPERTIES = ("green & flat", "red", "blue", "wet")
CLASS_MATRIX = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1))
NETWORK: dict[str, Any] = {
    "type": "PropertySegmentor",
    "backbone": {
        "type": "ViTAdapter",
        "dim": 48,
        "depth": 4,
        "heads": 2,
        "interactions": [(i, i) for i in range(4)],
        "deform_heads": 2,
        "conv_inplanes": 8,
        "pretrain_grid": 8,
    },
    "decode_head": {
        "type": "PropertyUPerHead",
        "in_channels": [48] * 4,
        "in_index": [0, 1, 2, 3],
        "channels": 16,
        "num_classes": 32,
        "norm_cfg": {"type": "BN"},
        "align_corners": False,
    },
    "auxiliary_head": {
        "type": "PropertyFCNHead",
        "in_channels": 48,
        "in_index": 2,
        "channels": 16,
        "num_convs": 1,
        "concat_input": False,
        "num_classes": 32,
        "norm_cfg": {"type": "BN"},
        "align_corners": False,
    },
    "label_space": {"properties": len(PROPERTIES), "classes": len(CLASSES), "width": 32},
    "test_cfg": {"mode": "whole"},
}


def make_checkpoint(
    store: Store,
    classes: tuple[str, ...] = CLASSES,
    *,
    seed: int = 0,
    one_hot: bool = False,
    unseen: tuple[str, ...] = (),
) -> Artifact:
    """Publish a network as if it had been trained on the data set of squares, but for the unseen classes."""
    settings = {"classes": list(classes), "seed": seed, "one_hot": one_hot, "unseen": list(unseen)}
    write = partial(_write, classes=classes, seed=seed, one_hot=one_hot, unseen=unseen)
    return store.build(Recipe("train", CHECKPOINT, "test", settings, {}), write).artifact


def make_checkpoint_for(store: Store, label_space: Artifact, **settings: Any) -> Artifact:
    """Publish a network as if it had been trained on a label space of one data set, with these settings of its own."""
    properties, (classes,) = read_properties(label_space), read_class_matrices(label_space)
    network = sized_network(
        {**NETWORK, "label_space": settings},
        properties=len(properties.names),
        classes=len(classes.classes),
        width=properties.centres.shape[1],
    )

    def write(folder: Path) -> dict[str, int]:
        torch.manual_seed(0)
        segmentor = build_segmentor(network)
        segmentor.label_space.assign(torch.from_numpy(properties.centres), torch.from_numpy(classes.matrix).float())
        palette = default_palette(len(classes.classes))
        return _save(
            folder,
            segmentor,
            ModelCard(
                network=network,
                classes=classes.classes,
                palette=palette,
                properties=properties.names,
                test_scale=1.0,
            ),
        )

    recipe = Recipe("train", CHECKPOINT, "test", settings, {"label_space": label_space})
    return store.build(recipe, write).artifact


def _write(folder: Path, classes: tuple[str, ...], seed: int, one_hot: bool, unseen: tuple[str, ...]) -> dict[str, int]:
    torch.manual_seed(seed)
    network = _one_hot_network() if one_hot else NETWORK
    segmentor = build_segmentor(network)
    if not one_hot:
        segmentor.label_space.assign(torch.randn(len(PROPERTIES), 32), torch.tensor(CLASS_MATRIX, dtype=torch.float32))
    properties = classes if one_hot else PROPERTIES
    card = ModelCard(
        network=network, classes=classes, palette=PALETTE, properties=properties, test_scale=1.0, unseen=unseen
    )
    return _save(folder, segmentor, card)


def _save(folder: Path, segmentor: PropertySegmentor, card: ModelCard) -> dict[str, int]:
    save_model(folder, segmentor, card)
    curve = {"iteration": [10, 20], "name": ["loss", "loss"], "value": [0.9, 0.5]}
    pq.write_table(pa.table(curve, schema=CHECKPOINT.tables["metrics.parquet"]), folder / "metrics.parquet")
    Figure(figsize=(2, 1)).savefig(folder / "learning_curve.png")
    (folder / "training_state.pth").write_bytes(b"")
    (folder / "report.md").write_text("trained", encoding="utf-8")
    return {"iterations": 20}


def _one_hot_network() -> dict[str, Any]:
    network = copy.deepcopy(NETWORK)
    count = len(CLASSES)
    network["decode_head"]["num_classes"] = network["auxiliary_head"]["num_classes"] = count
    network["label_space"] = {"kind": "one_hot", "properties": count, "classes": count, "width": count}
    return network
