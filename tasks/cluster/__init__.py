"""Cluster: descriptions of like meaning become one property that classes have or lack (spec section 1.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from artifacts import FileHashes
from tasks.describe import LlamaCpp, OpenAI
from tasks.errors import InputError
from tasks.kinds import EMBEDDINGS, LABEL_SPACE
from tasks.stage import Stage, StageParams

Algorithm = Literal["kmeans", "mini_batch_kmeans", "spherical_kmeans", "agglomerative"]


class Medoid(StageParams):
    """Names a property by its most central phrase."""

    type: Literal["medoid"] = "medoid"


class ClusterParams(StageParams):
    """Parameters of the stage cluster.

    The number of properties, K, is one of three: `properties`, `descriptions_per_property` or `candidates`.
    The paper finds the best K at one property for six to eight descriptions.

    Attributes:
        properties: K.
        descriptions_per_property: K is the number of descriptions over this.
        candidates: K is the one of these that suits classes best that the clustering has not seen: when a fifth of the
            classes is left out at a time, their descriptions lie nearest to the others' centres (`Choice`).
        algorithm: `kmeans` is the paper's; `mini_batch_kmeans` for tens of thousands of descriptions;
            `spherical_kmeans` goes by the angle; `agglomerative` merges by Ward's criterion and knows no chance.
        seed: of the first centres.
        naming: who names the properties: their medoids, or a language model that is shown the members.
        allow_identical: accept classes that no property tells apart.
    """

    properties: int | None = Field(default=None, ge=2)
    descriptions_per_property: float | None = Field(default=None, gt=1)
    candidates: tuple[int, ...] | None = Field(default=None, min_length=2)
    algorithm: Algorithm = "kmeans"
    seed: int = Field(default=0, ge=0)
    naming: Annotated[Medoid | LlamaCpp | OpenAI, Field(discriminator="type")] = Medoid()
    allow_identical: bool = False

    @field_validator("candidates")
    @classmethod
    def _ascending(cls, candidates: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if candidates is not None and (min(candidates) < 2 or list(candidates) != sorted(set(candidates))):
            raise ValueError("expected different numbers of 2 at least, the smallest first")
        return candidates

    @model_validator(mode="after")
    def _one_number(self) -> ClusterParams:
        ways = ("properties", "descriptions_per_property", "candidates")
        given = [name for name in ways if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(ways)}; given are {', '.join(given) or 'none'}")
        return self

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """Identity of the language model that names the properties."""
        return self.naming.external(hashes)


STAGE = Stage(
    name="cluster",
    params=ClusterParams,
    inputs={"embeddings": EMBEDDINGS},
    output=LABEL_SPACE,
    function="tasks.cluster.run:run",
    sources=("tasks.cluster", "tasks.describe", "tasks.models"),
    description="Vectors to named properties and the class matrix",
)


def joint_stage(datasets: Sequence[str]) -> Stage:
    """The same stage for several data sets that share their properties; its inputs are embeddings by data set.

    Raises:
        InputError: there are fewer than two data sets, or two of one name.
    """
    if len(datasets) < 2 or len(set(datasets)) < len(datasets) or not all(datasets):
        raise InputError(f"expected two or more data sets with different names, got {', '.join(datasets) or 'none'}")
    return replace(STAGE, inputs=dict.fromkeys(datasets, EMBEDDINGS))
