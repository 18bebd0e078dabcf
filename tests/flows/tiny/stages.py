"""Declarations of the tiny stages: index; describe -> cluster; train(dataset, label_space)."""

from pathlib import Path
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import BaseModel, Field

from artifacts import Kind
from tasks.stage import Runtime, Stage, StageParams

ROWS = pa.schema([pa.field("id", pa.int32(), nullable=False), pa.field("text", pa.string(), nullable=False)])


def _kind(name: str, *files: str) -> Kind:
    return Kind(name=name, tables={"rows.parquet": ROWS}, files=("report.md", *files), content=("rows.parquet",))


class IndexParams(StageParams):
    names: tuple[str, ...]


class Llm(BaseModel, extra="forbid"):
    type: Literal["llm"]
    model: str
    temperature: float = 0.0


class File(BaseModel, extra="forbid"):
    type: Literal["file"]
    path: Path


class DescribeParams(StageParams):
    classes: tuple[str, ...] = ("sky", "road", "car")
    provider: Annotated[Llm | File, Field(discriminator="type")] = Llm(type="llm", model="a")
    threads: Runtime[int] = 1
    seconds_per_class: Runtime[float] = 0.0
    log: Runtime[Path | None] = None


class ClusterParams(StageParams):
    properties: int = Field(default=2, gt=0)
    names: Literal["medoid", "llm"] = "medoid"


class TrainParams(StageParams):
    lr: float = 0.01
    fail: Runtime[bool] = False
    megabytes: Runtime[int] = 0


DATASET = _kind("dataset")
DESCRIPTIONS = _kind("descriptions")
LABEL_SPACE = _kind("label_space", "matrix.png")
CHECKPOINT = _kind("checkpoint", "report.html")


def _stage(name: str, params: type[StageParams], inputs: dict[str, Kind], output: Kind) -> Stage:
    functions = f"tiny.{name}"
    return Stage(name, params, inputs, output, function=f"{functions}:run", sources=(functions, "tiny.tables"))


INDEX = _stage("index", IndexParams, {}, DATASET)
DESCRIBE = _stage("describe", DescribeParams, {}, DESCRIPTIONS)
CLUSTER = _stage("cluster", ClusterParams, {"descriptions": DESCRIPTIONS}, LABEL_SPACE)
TRAIN = _stage("train", TrainParams, {"dataset": DATASET, "label_space": LABEL_SPACE}, CHECKPOINT)
