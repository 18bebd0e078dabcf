"""Extend labels: described classes join a label space whose properties stay as they are (spec section 3.5)."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from tasks.kinds import EMBEDDINGS, LABEL_SPACE
from tasks.stage import Stage, StageParams


class ExtendParams(StageParams):
    """How classes are put into a label space.

    Attributes:
        radius: a phrase farther than this from every centre has no property; where it is not given, the radius
            within which 99 % of the descriptions lie that the label space was made of.
        dataset: the data set that the classes join, by its name or with a new one; empty in a label space of one alone.
    """

    radius: float | None = Field(default=None, gt=0)
    dataset: str = ""


_STAGE = Stage(
    name="extend_labels",
    params=ExtendParams,
    inputs={"label_space": LABEL_SPACE, "embeddings": EMBEDDINGS},
    output=LABEL_SPACE,
    function="tasks.extend_labels.run:run",
    sources=("tasks.extend_labels", "tasks.cluster", "tasks.describe", "tasks.label_space", "tasks.models"),
    description="Described classes into an existing label space",
)


def extend_stage(sources: int) -> Stage:
    """The stage for a label space that was made of so many embeddings.

    Its inputs are the label space, the `embeddings` of the new classes, and as `source_embeddings_1` and on those that
    the label space was made of.
    """
    return replace(_STAGE, inputs={**_STAGE.inputs, **dict.fromkeys(source_names(sources), EMBEDDINGS)})


def source_names(sources: int) -> list[str]:
    """Names of the inputs that the label space was made of."""
    return [f"source_embeddings_{number}" for number in range(1, sources + 1)]
