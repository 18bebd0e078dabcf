"""Embed: every description becomes a vector (spec section 1.5)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from artifacts import FileHashes
from tasks.kinds import DESCRIPTIONS, EMBEDDINGS
from tasks.models import parse_model
from tasks.stage import DeviceName, Runtime, Stage, StageParams


class EmbedParams(StageParams):
    """Parameters of the stage embed; the defaults are the paper's.

    `pooling` is how token vectors become one vector: BGE's own recipe is `cls`, the paper's for BGE is `mean`.
    """

    encoder: Runtime[str] = Field(
        default="BAAI/bge-base-en-v1.5", description="package:<name>, a model folder, or <owner>/<name>[@<revision>]"
    )
    backend: Literal["sentence_transformers", "flag_embedding"] = "sentence_transformers"
    pooling: Literal["mean", "cls"] = "mean"
    lower_case: bool = True
    normalize: bool = True
    batch_size: Runtime[int] = Field(default=64, ge=1)
    device: Runtime[DeviceName] = "auto"

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """Identity of the encoder."""
        return {"encoder": parse_model(self.encoder).identity(hashes)}


STAGE = Stage(
    name="embed",
    params=EmbedParams,
    inputs={"descriptions": DESCRIPTIONS},
    output=EMBEDDINGS,
    function="tasks.embed.run:run",
    sources=("tasks.embed", "tasks.models"),
    description="Descriptions to vectors, by a sentence encoder",
)
