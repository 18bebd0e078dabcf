"""Stage `evaluate`: measures a checkpoint on one split of a data set and writes a report to look at."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.kinds import CHECKPOINT, DATASET, EVALUATION
from tasks.sources import NETWORK
from tasks.stage import DeviceName, Runtime, Stage, StageParams


class EvaluateParams(StageParams):
    """What is measured, and how the network runs.

    Attributes:
        split: name of the split whose photos are predicted.
        precision: arithmetic of the network; bfloat16 is about twice as fast where the processor has it.
        device: "auto" takes the GPU where there is one.
    """

    split: str = Field(default="val", min_length=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    device: Runtime[DeviceName] = "auto"


STAGE = Stage(
    name="evaluate",
    params=EvaluateParams,
    inputs={"checkpoint": CHECKPOINT, "dataset": DATASET},
    output=EVALUATION,
    function="tasks.evaluate.run:run",
    # The network's code decides the predictions as much as the weights do.
    sources=("tasks.evaluate", "tasks.pictures", "prolab_model.metrics", "prolab_model.predictor", *NETWORK),
    description="Predict every photo of a split, measure classes and properties, and write the report",
)
