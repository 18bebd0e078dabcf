"""Cluster: descriptions of like meaning become one property that classes have or lack (spec section 1.6)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tasks.kinds import EMBEDDINGS, LABEL_SPACE
from tasks.stage import Stage, StageParams


class ClusterParams(StageParams):
    """Parameters of the stage cluster. The paper finds the best K at one property for six to eight descriptions."""

    properties: int = Field(ge=2, description="K, the number of properties")
    seed: int = Field(default=0, ge=0)
    names: Literal["medoid"] = Field(default="medoid", description="a property is named by its most central phrase")
    allow_identical: bool = Field(default=False, description="accept classes that no property tells apart")


STAGE = Stage(
    name="cluster",
    params=ClusterParams,
    inputs={"embeddings": EMBEDDINGS},
    output=LABEL_SPACE,
    function="tasks.cluster.run:run",
    sources=("tasks.cluster",),
    description="Vectors to named properties and the class matrix",
)
