"""What a data set is: classes, colours, folders, and how the values in its label files are to be read."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from prolab_model.config_file import ConfigError, read_config

IGNORED = 255
"""The label of pixels that training and metrics leave out, whatever value stands for them in the files."""

Colour = tuple[
    Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)]
]


class SplitFolders(BaseModel):
    """Where one split's files lie, relative to the data set's root; suffixes include what follows the common name.

    Attributes:
        img_dir: the folder of its images.
        ann_dir: the folder of its label maps.
        img_suffix: how the images' names end.
        seg_map_suffix: how the label maps' names end.
        split: a file that lists the split's names without suffix, one a line; all files are of the split without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    img_dir: str
    ann_dir: str
    img_suffix: str = Field(default=".jpg", min_length=1)
    seg_map_suffix: str = Field(default=".png", min_length=1)
    split: str | None = Field(default=None, min_length=1)


class DatasetConfig(BaseModel):
    """A data set of photos and label maps, in the words of mmsegmentation's `CustomDataset`.

    Attributes:
        data_root: where the data set usually lies, relative to the working directory.
        classes: names in the order of their labels.
        palette: red, green, blue for each class; a palette of distinct colours where none is given.
        ignore_index: the value *in the files* of pixels to leave out.
        reduce_zero_label: 0 in the files is to be left out, and the first class is 1.
        drawn_by: import path "package.module:function" of `(root: Path) -> None`, which draws the
            data set where its root does not hold it yet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset_type: Literal["CustomDataset"] = "CustomDataset"
    data_root: str | None = None
    classes: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1, max_length=IGNORED)
    palette: tuple[Colour, ...] = Field(default_factory=lambda values: default_palette(len(values.get("classes", ()))))
    ignore_index: int = Field(default=IGNORED, ge=0, le=np.iinfo(np.uint16).max)
    reduce_zero_label: bool = False
    data: Mapping[Literal["train", "val", "test"], SplitFolders]
    drawn_by: str | None = Field(default=None, pattern=r"^[\w.]+:\w+$")

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if repeated := sorted({name for name in classes if classes.count(name) > 1}):
            raise ValueError(f"class names must differ, these occur more than once: {', '.join(map(repr, repeated))}")
        return classes

    @field_validator("data")
    @classmethod
    def _train_and_val(cls, data: Mapping[str, SplitFolders]) -> Mapping[str, SplitFolders]:
        if missing := [split for split in ("train", "val") if split not in data]:
            raise ValueError(f"no split {' and no split '.join(map(repr, missing))}")
        return data

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(self.palette) != len(self.classes):
            raise ValueError(f"palette has {len(self.palette)} colours for {len(self.classes)} classes")
        first = int(self.reduce_zero_label)
        if first <= self.ignore_index < first + len(self.classes):
            name = self.classes[self.ignore_index - first]
            raise ValueError(f"ignore_index {self.ignore_index} is the label of class {name!r}")
        return self


def read_dataset_config(path: Path | str) -> DatasetConfig:
    """Read and check a data set's configuration file.

    Raises:
        ConfigError: naming the file, the key, what was expected and what came.
    """
    return validate_dataset_config(read_config(path), source=str(path))


def validate_dataset_config(values: Mapping[str, Any], source: str) -> DatasetConfig:
    """Check the values of a configuration file that was read from `source`.

    Raises:
        ConfigError: with one line for each wrong key.
    """
    try:
        return DatasetConfig.model_validate(values)
    except ValidationError as error:
        lines = [_describe(problem) for problem in error.errors(include_url=False)]
        raise ConfigError("\n".join([f"{source}: not a valid data set", *lines])) from error


def _describe(problem: Mapping[str, Any]) -> str:
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        accepted = DatasetConfig.model_fields if len(problem["loc"]) == 1 else SplitFolders.model_fields
        return f"  {key}: unknown key; accepted are {', '.join(accepted)}"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return f"  {message}"
    if problem["type"] == "missing":
        return f"  {key}: {message}"
    return f"  {key}: {message}; got {_shorten(repr(problem['input']))}"


def _shorten(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


def default_palette(classes: int) -> tuple[Colour, ...]:
    """Distinct colours: hues by the golden angle, in three steps of brightness."""
    colours = []
    for index in range(classes):
        hue, value = (index * 0.6180339887498949) % 1.0, (0.95, 0.7, 0.5)[index % 3]
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, value)
        colours.append((round(red * 255), round(green * 255), round(blue * 255)))
    return tuple(colours)


def training_labels(
    label: npt.NDArray[np.integer[Any]], *, ignore_index: int, reduce_zero_label: bool
) -> npt.NDArray[np.uint8]:
    """Turn label values as they stand in the files into those of training: 0..N-1, and 255 for what is left out.

    Args:
        label: values of any integer type and shape.
        ignore_index: the value in the files of pixels to leave out.
        reduce_zero_label: 0 becomes 255 and the others go down by one, as mmsegmentation's
            `LoadAnnotations` has it: 0 -> 255, minus 1, 254 -> 255.

    Returns:
        A new array of the same shape.

    Raises:
        ValueError: a value other than `ignore_index` does not fit into 8 bits.
    """
    label = np.where(label == ignore_index, IGNORED, label)
    if label.max(initial=0) > IGNORED or label.min(initial=0) < 0:
        raise ValueError(f"label values must lie in 0..{IGNORED}, got {label.min()}..{label.max()}")
    trained = label.astype(np.uint8)
    if reduce_zero_label:
        trained[trained == 0] = IGNORED
        trained -= 1
        trained[trained == IGNORED - 1] = IGNORED
    return trained
