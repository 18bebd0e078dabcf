"""Stage `import`: makes a released checkpoint, with its bank, an artifact like those that `train` makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import JsonValue

from artifacts import FileHashes
from prolab_model.config_file import ConfigError, read_config
from prolab_model.dataset_config import DatasetConfig, read_dataset_config
from tasks.errors import InputError
from tasks.kinds import CHECKPOINT
from tasks.sources import NETWORK
from tasks.stage import Runtime, Stage, StageParams


class ImportParams(StageParams):
    """The files that a released model consists of.

    Attributes:
        checkpoint: weights, as mmcv writes them.
        bank: centres and classes of the properties, in the released format.
        model: the network's config, in the manner of `configs/models/*.py`.
        dataset: config of the data set that the model knows; it gives the classes' names and colours.
        properties: a JSON of named properties and their members, as released for ADE20K and COCO-Stuff.
    """

    checkpoint: Runtime[Path]
    bank: Runtime[Path]
    model: Runtime[Path]
    dataset: Runtime[Path | None] = None
    properties: Runtime[Path | None] = None

    def network(self) -> dict[str, Any]:
        """The `model` of the network's config, and of its recipe what a model is used with.

        Raises:
            InputError: when the file has no `model`.
        """
        try:
            values = read_config(self.model)
        except ConfigError as error:
            raise InputError(f"--model: {error}") from error
        if not isinstance(values.get("model"), dict):
            raise InputError(f"--model: {self.model} defines no dict named `model`; it has {', '.join(values)}")
        recipe = values.get("train", {})
        return {
            "model": values["model"],
            "test_scale": recipe.get("test_scale", 1.0),
            "base_size": recipe.get("base_size"),
        }

    def dataset_config(self) -> DatasetConfig | None:
        """The data set's config, if one is named; raises InputError when it is not valid."""
        try:
            return None if self.dataset is None else read_dataset_config(self.dataset)
        except ConfigError as error:
            raise InputError(f"--dataset: {error}") from error

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """What the configs say, and the hashes of the other files."""
        files = {"checkpoint": self.checkpoint, "bank": self.bank, "properties": self.properties}
        for name, path in files.items():
            if path is not None and not path.is_file():
                raise InputError(f"{name}: no file {path}")
        dataset = self.dataset_config()
        return {
            "network": self.network(),
            "classes": None if dataset is None else list(dataset.classes),
            "palette": None if dataset is None else [list(colour) for colour in dataset.palette],
            **{name: None if path is None else hashes.hash(path) for name, path in files.items()},
        }


STAGE = Stage(
    name="import",
    params=ImportParams,
    inputs={},
    output=CHECKPOINT,
    function="tasks.import_checkpoint.run:run",
    sources=(
        "tasks.import_checkpoint",
        "prolab_model.bank",
        "prolab_model.network_config",
        "prolab_model.released",
        "prolab_model.torch_file",
        *NETWORK,
    ),
    description="Make an artifact of a released checkpoint and its bank",
)
