"""A small real network with random weights, published in the store as a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from matplotlib.figure import Figure

from artifacts import Artifact, Recipe, Store
from prolab_model.checkpoint import ModelCard, save_model
from prolab_model.openmmlab import build_segmentor
from tasks.kinds import CHECKPOINT
from tests.squares import CLASSES, PALETTE

PROPERTIES = ("green & flat", "red", "blue", "wet")
CLASS_MATRIX = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 1))
NETWORK = {
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


@pytest.fixture(scope="session")
def publish_checkpoint(store: Store) -> Callable[[tuple[str, ...]], Artifact]:
    """Publishes the network as if it had been trained on classes of the given names."""

    def publish(classes: tuple[str, ...]) -> Artifact:
        recipe = Recipe("train", CHECKPOINT, "test", {"classes": list(classes)}, {})
        return store.build(recipe, partial(_write_checkpoint, classes=classes)).artifact

    return publish


@pytest.fixture(scope="session")
def checkpoint(publish_checkpoint: Callable[[tuple[str, ...]], Artifact]) -> Artifact:
    return publish_checkpoint(CLASSES)


def _write_checkpoint(folder: Path, classes: tuple[str, ...]) -> dict[str, int]:
    torch.manual_seed(0)
    segmentor = build_segmentor(NETWORK)
    centres = torch.randn(len(PROPERTIES), 32)
    segmentor.label_space.assign(centres, torch.tensor(CLASS_MATRIX, dtype=torch.float32))
    card = ModelCard(network=NETWORK, classes=classes, palette=PALETTE, properties=PROPERTIES, test_scale=1.0)
    save_model(folder, segmentor, card)
    curve = {"iteration": [10, 20], "name": ["loss", "loss"], "value": [0.9, 0.5]}
    pq.write_table(pa.table(curve, schema=CHECKPOINT.tables["metrics.parquet"]), folder / "metrics.parquet")
    Figure(figsize=(2, 1)).savefig(folder / "learning_curve.png")
    (folder / "training_state.pth").write_bytes(b"")
    (folder / "report.md").write_text("trained", encoding="utf-8")
    return {"iterations": 20}
