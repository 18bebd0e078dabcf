"""Stage `train`: teaches the network the properties of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, PlainValidator, PositiveInt, field_validator, model_validator

from artifacts import FileHashes
from prolab_model.config_file import ConfigError, read_config
from tasks.errors import InputError
from tasks.kinds import CHECKPOINT, DATASET, LABEL_SPACE
from tasks.sources import NETWORK
from tasks.stage import DeviceName, Runtime, Stage, StageParams

ConfigValues = dict[str, JsonValue]

_TIMM = "timm:"


def _weights(value: object) -> Path | str:
    match value:
        case str(name) if name.startswith(_TIMM):
            return name
        case str() | Path():
            return Path(value)
    raise ValueError(f"expected a path, or {_TIMM} and a name")


# Not a union of two types: an error would name each of them, and pydantic's internals.
Weights = Annotated[Path | str, PlainValidator(_weights, json_schema_input_type=str)]
"""Pretrained weights: the path of a file, or `timm:` and timm's name of a model."""


def _long_side_first(size: tuple[int, int]) -> tuple[int, int]:
    if size[0] < size[1]:
        raise ValueError("expected two sides, the longer one first")
    return size


BaseSize = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_long_side_first)]
"""Long and short side in pixels."""


class TrainParams(StageParams):
    """Network, schedule and augmentation.

    Attributes:
        model: a network's config, in the manner of `configs/models/*.py`. Where it has a recipe (see `read_recipe`),
            an experiment says only what it wants otherwise.
        pretrained: weights that the backbone starts from: a file, or `timm:` and timm's name of a model, as in
            `timm:vit_base_patch16_224.augreg_in21k` (downloaded; needs the extra `timm`). Without it the network starts
            from nothing.
        max_iters: number of optimizer steps.
        batch_size: crops in a step, on all processes together.
        accumulate: parts in which the crops of a step go through the network, one after the other: less memory.
            Batch norm sees a part at a time; but for that nothing changes.
        crop_size: height and width of a crop, in pixels, a multiple of 32.
        base_size: long and short side that a photo is fitted into where its factor is 1; its own size if not given.
        base_sizes: those of single data sets, by name, where several are trained on.
        scale_range: smallest and largest factor on the base size before a photo is cropped.
        test_scale: factor on the base size when the model is used.
        learning_rate: of the transformer's last block.
        adapter_multiplier: learning rate of adapter and heads relative to `learning_rate`.
        layer_decay: factor on the learning rate from one transformer block to the one before it.
        weight_decay: of AdamW.
        warmup: share of the steps in which the learning rate rises.
        poly_power: the learning rate falls with this power of the share of the steps that is left.
        clip_norm: largest norm of the gradient; any if None.
        class_balanced: share of the crops that are drawn around a class, all classes equally often.
        class_weight_power: a pixel weighs its class's share of the pixels to minus this power; 0 is the paper's.
        contrast: weight of a cross-entropy over the class scores beside the loss of the properties; 0 is the paper's.
        ema: decay of a moving average of the weights, which the checkpoint then holds, for instance 0.999; none if not
            given.
        precision: arithmetic of forward and backward pass; float16 scales the loss.
        checkpoint_activations: compute the backbone's activations twice instead of keeping them: slower, less memory.
        seed: of the initial weights, the crops and the dropout.
        device: where the network trains; "auto" takes a GPU where there is one.
        workers: processes that load crops.
        processes: processes that train together, each with its share of the crops of a step; one for each GPU if not
            given. What comes out is the same, but for the order of sums and for what is random within the network.
        nodes: machines that train together, with as many processes each; all run the same command, each with its
            own `node_rank`.
        node_rank: number of this machine; number 0 publishes the checkpoint.
        rendezvous: HOST:PORT of machine 0, where the others find it.
        validate_every: steps between two measurements of the mIoU on the split `val`; none if not given.
        validate_photos: photos that are measured, at equal distances; all if not given.
        keep: weights of the last step, or of the best measurement.
        tensorboard: write event files (needs the extra `tensorboard`), also while the run lasts.
        save_every: steps between two training states that a killed run can go on from.
        log_every: steps between two points of the learning curve.
    """

    model: Runtime[Path]
    pretrained: Runtime[Weights | None] = None
    max_iters: int = Field(gt=0)
    batch_size: int = Field(default=4, gt=1)
    accumulate: Runtime[int] = Field(default=1, ge=1)
    crop_size: int = Field(default=512, gt=0, multiple_of=32)
    base_size: BaseSize | None = None
    base_sizes: dict[str, BaseSize | None] = Field(default={})
    scale_range: tuple[float, float] = (0.5, 2.0)
    test_scale: float = Field(default=1.0, gt=0)
    learning_rate: float = Field(default=6e-5, gt=0)
    adapter_multiplier: float = Field(default=1.0, gt=0)
    layer_decay: float = Field(default=0.95, gt=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.01, ge=0, lt=1)
    poly_power: float = Field(default=0.9, gt=0)
    clip_norm: float | None = Field(default=1.0, gt=0)
    class_balanced: float = Field(default=0.5, ge=0, le=1)
    class_weight_power: float = Field(default=0.5, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    checkpoint_activations: Runtime[bool] = False
    seed: int = Field(default=0, ge=0)
    device: Runtime[DeviceName] = "auto"
    workers: Runtime[int] = Field(default=1, ge=0)
    processes: Runtime[int | None] = Field(default=None, ge=1)
    nodes: Runtime[int] = Field(default=1, ge=1)
    node_rank: Runtime[int] = Field(default=0, ge=0)
    rendezvous: Runtime[str | None] = Field(default=None, pattern=r"^[^\s:]+:\d+$")
    validate_every: int | None = Field(default=None, ge=1)
    validate_photos: int | None = Field(default=None, ge=1)
    keep: Literal["last", "best"] = "last"
    tensorboard: Runtime[bool] = False
    save_every: Runtime[int] = Field(default=50, gt=0)
    log_every: int = Field(default=10, gt=0)

    @field_validator("scale_range")
    @classmethod
    def _ordered(cls, scale_range: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale_range[0] <= scale_range[1]:
            raise ValueError("expected two factors above 0, the smaller one first")
        return scale_range

    @model_validator(mode="after")
    def _best_of_something(self) -> TrainParams:
        if self.keep == "best" and self.validate_every is None:
            raise ValueError("keep: best needs validate_every, the steps between two measurements")
        return self

    @model_validator(mode="after")
    def _nodes_that_find_each_other(self) -> TrainParams:
        if self.node_rank >= self.nodes:
            raise ValueError(f"node_rank: {self.node_rank}: expected a number below nodes, which is {self.nodes}")
        if self.nodes > 1 and self.rendezvous is None:
            raise ValueError("nodes: more than one need a rendezvous, HOST:PORT of the first")
        return self

    def publishes(self) -> bool:
        """Of several machines the first one does."""
        return self.node_rank == 0

    def base_size_of(self, dataset: str) -> tuple[int, int] | None:
        """The base size of one of several data sets."""
        return self.base_sizes.get(dataset, self.base_size)

    def network(self) -> ConfigValues:
        """The `model` of the network's config; raises InputError when the file has none."""
        values = _read(self.model)
        if not isinstance(values.get("model"), dict):
            raise InputError(f"train.model: {self.model} defines no dict named `model`; it has {', '.join(values)}")
        network: ConfigValues = values["model"]
        return network

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """What the network's config says, and the pretrained weights: a file's hash, or timm's name and version."""
        return {"network": self.network(), "pretrained": self._pretrained_identity(hashes)}

    def _pretrained_identity(self, hashes: FileHashes) -> JsonValue:
        match self.pretrained:
            case None:
                return None
            case str(name):
                # Which weights a name stands for is timm's to say.
                return {"timm": name.removeprefix(_TIMM), "version": _timm_version(name)}
            case path if path.is_file():
                return hashes.hash(path)
        raise InputError(f"train.pretrained: no file {self.pretrained}")

    def pretrained_name(self) -> str:
        """What reports call the pretrained weights: a file without its folder, a name of timm's, or `none`."""
        return self.pretrained.name if isinstance(self.pretrained, Path) else self.pretrained or "none"


def read_recipe(model: Path) -> ConfigValues:
    """The `train` of a network's config: parameters of this stage with which the network is usually trained.

    Raises:
        InputError: when the file cannot be read, or its `train` is no dict.
    """
    recipe: ConfigValues = _read(model).get("train", {})
    if not isinstance(recipe, dict):
        raise InputError(f"train.model: {model}: train: expected a dict of parameters, got {recipe!r}")
    return recipe


def _timm_version(name: str) -> str:
    try:
        return metadata.version("timm")
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"train.pretrained: {name} needs timm: pip install 'prolab-pipeline[timm]', with torchvision of the same "
            "build as torch; or give the path of a file"
        ) from error


def _read(model: Path) -> dict[str, Any]:
    try:
        return read_config(model)
    except ConfigError as error:
        raise InputError(f"train.model: {error}") from error


STAGE = Stage(
    name="train",
    params=TrainParams,
    inputs={"dataset": DATASET, "label_space": LABEL_SPACE},
    output=CHECKPOINT,
    function="tasks.train.run:run",
    # Not the report: another wording is no reason to train again.
    sources=(
        "tasks.train.board",
        "tasks.train.curve",
        "tasks.train.hooks",
        "tasks.train.network",
        "tasks.train.process",
        "tasks.train.processes",
        "tasks.train.run",
        "tasks.train.runner",
        "tasks.train.step",
        "tasks.train.training",
        "tasks.train.training_set",
        "tasks.train.validation",
        "tasks.pictures",
        "prolab_model.batch_norm",
        "prolab_model.metrics",
        "prolab_model.network_config",
        "prolab_model.optimizer",
        "prolab_model.predictor",
        "prolab_model.pretrained",
        "prolab_model.torch_file",
        "tasks.label_space",
        *NETWORK,
    ),
    description="Train the network to predict the properties of every pixel",
)


def joint_stage(datasets: Sequence[str]) -> Stage:
    """The same stage for several data sets at once; their names are those of its inputs beside the label space."""
    return replace(STAGE, inputs={**dict.fromkeys(datasets, DATASET), "label_space": LABEL_SPACE})
