"""Apply labels: a trained network decides by other classes with the same properties (spec section 3.5)."""

from __future__ import annotations

from tasks.kinds import CHECKPOINT, LABEL_SPACE
from tasks.sources import NETWORK
from tasks.stage import Stage, StageParams


class ApplyParams(StageParams):
    """Which classes a network is given.

    Attributes:
        dataset: whose classes these are, by the data set's name in the label space; empty in one of a single data set.
    """

    dataset: str = ""


STAGE = Stage(
    name="apply_labels",
    params=ApplyParams,
    inputs={"checkpoint": CHECKPOINT, "label_space": LABEL_SPACE},
    output=CHECKPOINT,
    function="tasks.apply_labels.run:run",
    sources=("tasks.apply_labels", "tasks.label_space", "prolab_model.network_config", *NETWORK),
    description="Other classes with the same properties into a trained network",
)
