"""A trained model as two files: `model.safetensors`, and `model.json` with everything that is needed to use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file

from prolab_model.label_space import BY_CLASS
from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor

WEIGHTS = "model.safetensors"
CARD = "model.json"

_BY_CLASS = tuple(f"label_space.{name}" for name in BY_CLASS)


class KnownDataset(BaseModel):
    """One of several data sets that a network was trained on.

    Attributes:
        first_class: id of its first class.
        classes: how many it has.
        base_size: (long, short) sides that its photos are fitted into; their own size if not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_class: int
    classes: int
    base_size: tuple[int, int] | None = None


class ModelCard(BaseModel):
    """What a checkpoint's weights are for.

    Attributes:
        network: config from which mmsegmentation builds the segmentor.
        classes: names of the N classes; those of several data sets follow each other.
        datasets: which of the classes are whose, where the network was trained on several data sets.
        palette: (red, green, blue) of each class.
        properties: names of the K properties.
        test_scale: factor on the base size before the network sees a photo.
        base_size: (long, short) sides that a photo is fitted into; its own size if not given.
        unseen: those of the classes that the network was not trained on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: dict[str, Any]
    classes: tuple[str, ...]
    datasets: dict[str, KnownDataset] = {}
    palette: tuple[tuple[int, int, int], ...]
    properties: tuple[str, ...]
    test_scale: float
    base_size: tuple[int, int] | None = None
    unseen: tuple[str, ...] = ()

    def of_dataset(self, name: str) -> ModelCard:
        """The card of the network that predicts the classes of one of its data sets."""
        rows = self.rows(name)
        label_space = {key: value for key, value in self.network["label_space"].items() if key != "groups"}
        return self.model_copy(
            update={
                "network": {**self.network, "label_space": {**label_space, "classes": len(self.classes[rows])}},
                "classes": self.classes[rows],
                "datasets": {},
                "palette": self.palette[rows],
                "base_size": self.datasets[name].base_size,
            }
        )

    def rows(self, dataset: str) -> slice:
        """Where the classes of one of the data sets are among all."""
        known = self.datasets[dataset]
        return slice(known.first_class, known.first_class + known.classes)


def save_model(folder: Path, segmentor: PropertySegmentor, card: ModelCard) -> None:
    """Write weights and card into `folder`."""
    save_file({name: value.contiguous() for name, value in segmentor.state_dict().items()}, folder / WEIGHTS)
    (folder / CARD).write_text(card.model_dump_json(indent=2), encoding="utf-8")


def read_card(folder: Path) -> ModelCard:
    """What `save_model` wrote beside the weights."""
    return ModelCard.model_validate_json((folder / CARD).read_text(encoding="utf-8"))


def load_model(folder: Path, dataset: str | None = None) -> tuple[PropertySegmentor, ModelCard]:
    """Rebuild the segmentor that `save_model` wrote, in evaluation mode, on the CPU.

    Args:
        folder: where it was written.
        dataset: the one whose classes are predicted, where the network knows those of several; all if not given.

    Raises:
        FileNotFoundError: when a file is missing.
        KeyError: when the network does not know the data set.
        RuntimeError: when weights and card do not belong together.
    """
    card, weights = read_card(folder), load_file(folder / WEIGHTS)
    if dataset is not None:
        rows = card.rows(dataset)
        weights |= {name: weights[name][rows] for name in _BY_CLASS if name in weights}
        card = card.of_dataset(dataset)
    segmentor: PropertySegmentor = build_segmentor(card.network)
    segmentor.load_state_dict(weights)
    return segmentor.eval(), card
