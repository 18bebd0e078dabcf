"""A trained model as two files: `model.safetensors`, and `model.json` with everything that is needed to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file

from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor

WEIGHTS = "model.safetensors"
CARD = "model.json"


class ModelCard(BaseModel):
    """What a checkpoint's weights are for.

    Attributes:
        network: config from which mmsegmentation builds the segmentor.
        classes: names of the N classes.
        palette: (red, green, blue) of each class.
        properties: names of the K properties.
        test_scale: factor on the base size before the network sees a photo.
        base_size: (long, short) sides that a photo is fitted into; its own size if not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: dict[str, Any]
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    properties: tuple[str, ...]
    test_scale: float
    base_size: tuple[int, int] | None = None


def save_model(folder: Path, segmentor: PropertySegmentor, card: ModelCard) -> None:
    """Write weights and card into `folder`."""
    save_file({name: value.contiguous() for name, value in segmentor.state_dict().items()}, folder / WEIGHTS)
    (folder / CARD).write_text(card.model_dump_json(indent=2), encoding="utf-8")


def load_model(folder: Path) -> tuple[PropertySegmentor, ModelCard]:
    """Rebuild the segmentor that `save_model` wrote, in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: when a file is missing.
        RuntimeError: when weights and card do not belong together.
    """
    card = ModelCard.model_validate_json((folder / CARD).read_text(encoding="utf-8"))
    segmentor: PropertySegmentor = build_segmentor(card.network)
    segmentor.load_state_dict(load_file(folder / WEIGHTS))
    return segmentor.eval(), card
