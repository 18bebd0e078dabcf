"""Stage `evaluate`: measures a checkpoint on one split of a data set and writes a report to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from tasks.kinds import CHECKPOINT, DATASET, EVALUATION
from tasks.sources import NETWORK
from tasks.stage import DeviceName, Runtime, Stage, StageParams


class EvaluateParams(StageParams):
    """What is measured, and how the network runs.

    Attributes:
        split: name of the split whose photos are predicted.
        scales: factors on the size that the network was trained for; class scores at several are averaged.
        flip: average them with those of the mirror image, too, at every scale.
        precision: arithmetic of the network; bfloat16 is about twice as fast where the processor has it.
        baseline: version or tag of an evaluation on the same split, beside which the report puts the figures.
        device: "auto" takes the GPU where there is one.
    """

    split: str = Field(default="val", min_length=1)
    scales: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(default=(1.0,), min_length=1)
    flip: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"
    # Not part of the key: the content of the evaluation is, which is an input.
    baseline: Runtime[str | None] = Field(default=None, min_length=1)
    device: Runtime[DeviceName] = "auto"


STAGE = Stage(
    name="evaluate",
    params=EvaluateParams,
    inputs={"checkpoint": CHECKPOINT, "dataset": DATASET},
    output=EVALUATION,
    function="tasks.evaluate.run:run",
    # The network's code decides the predictions as much as the weights do.
    sources=(
        "tasks.evaluate",
        "tasks.compare.bootstrap",
        "tasks.compare.comparison",
        "tasks.compare.counts",
        "tasks.compare.pictures",
        "tasks.pictures",
        "prolab_model.metrics",
        "prolab_model.predictor",
        *NETWORK,
    ),
    description="Predict every photo of a split, measure classes and properties, and write the report",
)

BASELINE_STAGE = replace(STAGE, inputs={**STAGE.inputs, "baseline": EVALUATION})
"""The same stage where there is an evaluation that the figures are held against."""
