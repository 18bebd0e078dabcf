"""The tiny pipeline's experiment."""

from collections.abc import Mapping
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from flows.sequence import Step, chain
from tasks.stage import Stage
from tiny.stages import (
    CLUSTER,
    DESCRIBE,
    INDEX,
    TRAIN,
    ClusterParams,
    DescribeParams,
    IndexParams,
    TrainParams,
)


class TinyExperiment(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dataset: IndexParams
    describe: DescribeParams
    cluster: ClusterParams
    train: TrainParams

    stages: ClassVar[Mapping[str, Stage]] = {
        "dataset": INDEX,
        "describe": DESCRIBE,
        "cluster": CLUSTER,
        "train": TRAIN,
    }

    def steps(self) -> list[Step]:
        return chain((stage, getattr(self, section)) for section, stage in self.stages.items())
