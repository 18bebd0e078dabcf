"""Embed: every description becomes a vector (spec section 1.5)."""

from __future__ import annotations

from string import Formatter
from typing import Literal

from pydantic import Field, JsonValue, field_validator

from artifacts import FileHashes
from tasks.kinds import DESCRIPTIONS, EMBEDDINGS
from tasks.models import parse_model
from tasks.stage import DeviceName, Runtime, Stage, StageParams

Pooling = Literal["mean", "cls"]
Precision = Literal["float32", "bfloat16", "float16"]


class EmbedParams(StageParams):
    """Parameters of the stage embed; the defaults are the paper's.

    Attributes:
        encoder: `package:<name>`, a model folder, or `<owner>/<name>[@<revision>]`.
        backend: the library that runs it; both give the same vectors.
        pooling: how the vectors of the tokens become one. BGE's own is `cls`, the paper's for BGE is `mean`; `cls` of
            a model that was made for another pooling means nothing, and is refused.
        overrule_pooling: pool as `pooling` says, whatever the model was made for.
        template: what is embedded, around `{text}` and, where wanted, `{category}`: an instruction ("Represent the
            phrase: {text}") or a sentence ("a {category}, which has {text}"). The paper embeds the bare text.
        lower_case: of description and class name; the template stays as it is written.
        normalize: to length 1.
        precision: of the network; vectors are pooled and written in float32.
        batch_size: texts that are encoded together.
        device: `auto` and `cuda` take all the GPUs there are.
    """

    encoder: Runtime[str] = "BAAI/bge-base-en-v1.5"
    backend: Literal["sentence_transformers", "flag_embedding"] = "sentence_transformers"
    pooling: Pooling = "mean"
    overrule_pooling: Runtime[bool] = False
    template: str = "{text}"
    lower_case: bool = True
    normalize: bool = True
    precision: Precision = "float32"
    batch_size: Runtime[int] = Field(default=32, ge=1)
    device: Runtime[DeviceName] = "auto"

    @field_validator("template")
    @classmethod
    def _has_text(cls, template: str) -> str:
        try:
            names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        except ValueError as error:
            raise ValueError(f"not a template: {error}") from error
        if "text" not in names or not names <= {"text", "category"}:
            raise ValueError("expected a template with {text} and, if wanted, {category}")
        return template

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
