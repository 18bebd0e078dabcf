"""Stage `index`: reads a data set's folders once and records what lies there, checked."""

from __future__ import annotations

import importlib
from pathlib import Path

from pydantic import JsonValue

from artifacts import FileHashes
from prolab_model.config_file import ConfigError
from prolab_model.dataset_config import DatasetConfig, read_dataset_config
from tasks.errors import InputError
from tasks.index.folders import fingerprint
from tasks.kinds import DATASET
from tasks.stage import Runtime, Stage, StageParams


class IndexParams(StageParams):
    """Which data set, and where it lies.

    Attributes:
        config: a file in the manner of `configs/datasets/*.py`.
        root: the folder that holds the data set; without it, the configuration's `data_root`.
    """

    config: Runtime[Path]
    root: Runtime[Path | None] = None

    def dataset_config(self) -> DatasetConfig:
        """The data set's configuration; raises InputError when it is not valid."""
        try:
            return read_dataset_config(self.config)
        except ConfigError as error:
            raise InputError(str(error)) from error

    def dataset_root(self, config: DatasetConfig) -> Path:
        """The absolute folder that holds the data set; raises InputError when neither parameter nor file names it."""
        root = self.root or config.data_root
        if root is None:
            raise InputError(f"dataset.root is not set, and {self.config} has no data_root")
        return Path(root).expanduser().absolute()

    def identity(self) -> dict[str, JsonValue]:
        """What the configuration file says, not where it lies."""
        return self.dataset_config().model_dump(mode="json", exclude={"data_root", "drawn_by"})

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """The root and a fingerprint of the files below it; a drawn data set is drawn first where it is absent."""
        config = self.dataset_config()
        root = self.dataset_root(config)
        if config.drawn_by is not None:
            _draw(config.drawn_by, root)
        return {"root": str(root), "files": fingerprint(root, config)}


def _draw(drawn_by: str, root: Path) -> None:
    module, _, function = drawn_by.partition(":")
    try:
        getattr(importlib.import_module(module), function)(root)
    except (ImportError, AttributeError, FileExistsError) as error:
        raise InputError(f"drawn_by {drawn_by!r}: {error}") from error


STAGE = Stage(
    name="index",
    params=IndexParams,
    inputs={},
    output=DATASET,
    function="tasks.index.run:run",
    sources=(
        "tasks.index",
        "tasks.pictures",
        "prolab_model.config_file",
        "prolab_model.dataset_config",
        "prolab_model.image_files",
    ),
    description="Read a data set's folders, check every file and count the labels",
)
