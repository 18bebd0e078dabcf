"""Describe: every class name becomes a list of short phrases on how the class looks (spec sections 1.1 and 1.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator, model_validator

from artifacts import FileHashes
from tasks.describe.prompt import read_prompt
from tasks.errors import InputError
from tasks.kinds import DESCRIPTIONS
from tasks.models import parse_model
from tasks.stage import Runtime, Stage, StageParams


class LlamaCpp(StageParams):
    """A GGUF model that llama.cpp runs in this process, held to the layout by a grammar.

    The model's own chat template is used.
    """

    type: Literal["llama_cpp"]
    model: Runtime[str] = Field(description="package:<name>, path of a GGUF file, or hub:<owner>/<name>/<file>.gguf")
    temperature: float = Field(default=0.4, ge=0)
    repeat_penalty: float = Field(default=1.15, gt=0)
    seed: int = Field(default=0, ge=0)
    context: Runtime[int] = Field(default=4096, ge=512, description="tokens of prompt and answer together")
    threads: Runtime[int | None] = Field(default=None, ge=1, description="half of the processors when not given")
    gpu_layers: Runtime[int] = Field(default=0, ge=-1, description="layers on the GPU; -1 for all")

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """Identity of the GGUF file."""
        return {"model": parse_model(self.model).identity(hashes)}


class OpenAI(StageParams):
    """Any server that speaks OpenAI's chat completions protocol.

    The API key is read from the environment variable `api_key_env` and is written nowhere.
    """

    type: Literal["openai"]
    model: str = Field(min_length=1)
    revision: str | None = Field(default=None, description="tells apart what servers call by the same model name")
    temperature: float = Field(default=0.0, ge=0)
    seed: int = Field(default=0, ge=0)
    base_url: Runtime[str | None] = Field(default=None, description="OpenAI's own server when not given")
    api_key_env: Runtime[str] = "OPENAI_API_KEY"
    concurrency: Runtime[int] = Field(default=8, ge=1)
    max_retries: Runtime[int] = Field(default=6, ge=0, description="repeats after 429, 5xx and broken connections")
    timeout: Runtime[float] = Field(default=120.0, gt=0, description="seconds for one answer")


class DescriptorFile(StageParams):
    """An existing JSON file: object of class name -> list of descriptions."""

    type: Literal["file"]
    path: Runtime[Path]

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """Content of the file.

        Raises:
            InputError: there is no such file.
        """
        if not self.path.is_file():
            raise InputError(f"describe.provider.path: no descriptor file at {self.path}")
        return {"descriptors": hashes.hash(self.path)}


class DescribeParams(StageParams):
    """Parameters of the stage describe."""

    classes: tuple[str, ...] = Field(min_length=1, description="class names in the order of their ids")
    provider: Annotated[LlamaCpp | OpenAI | DescriptorFile, Field(discriminator="type")]
    prompt: Runtime[Path | None] = Field(default=None, description="YAML file with `system` and `user`")
    min_descriptions: int = Field(default=3, ge=1, description="an answer with fewer phrases is asked for again")
    attempts: int = Field(default=3, ge=1)

    @field_validator("classes")
    @classmethod
    def _names_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({name for name in classes if classes.count(name) > 1})
        if repeated or not all(name.strip() for name in classes):
            raise ValueError(f"class names must differ and must not be blank; repeated: {repeated}")
        return classes

    @model_validator(mode="after")
    def _language_model_has_prompt(self) -> DescribeParams:
        if self.prompt is None and not isinstance(self.provider, DescriptorFile):
            raise ValueError(f"provider {self.provider.type!r} needs `prompt`, for instance configs/prompts/short.yaml")
        return self

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """The provider's files, and the words of the prompt where one is used."""
        external = self.provider.external(hashes)
        if self.prompt is not None and not isinstance(self.provider, DescriptorFile):
            external["prompt"] = read_prompt(self.prompt).hash
        return external


STAGE = Stage(
    name="describe",
    params=DescribeParams,
    inputs={},
    output=DESCRIPTIONS,
    function="tasks.describe.run:run",
    sources=("tasks.describe", "tasks.models"),
    description="Class names to descriptions, by a language model or from a file",
)
