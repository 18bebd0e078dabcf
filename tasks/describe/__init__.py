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

    The chat template is the one in the file.

    Attributes:
        temperature: of the answers; 0 takes the likeliest word each time.
        repeat_penalty: above 1 words that were said become less likely.
        seed: of the answers; each attempt has its own.
    """

    type: Literal["llama_cpp"]
    model: Runtime[str] = Field(description="package:<name>, path of a GGUF file, or hub:<owner>/<name>/<file>.gguf")
    chat_format: str | None = Field(
        default=None, description="llama.cpp's name of a chat format, such as llama-2, for files without a template"
    )
    temperature: float = Field(default=0.4, ge=0)
    repeat_penalty: float = Field(default=1.15, gt=0)
    seed: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=512, ge=1, description="length of an answer at most")
    context: Runtime[int] = Field(default=4096, ge=512, description="tokens of prompt and answer together")
    threads: Runtime[int | None] = Field(default=None, ge=1, description="half of the processors when not given")
    gpu_layers: Runtime[int] = Field(default=0, ge=-1, description="layers on the GPU; -1 for all")

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """Identity of the GGUF file."""
        return {"model": parse_model(self.model).identity(hashes)}


class Prices(StageParams):
    """Money for a million tokens, in any currency."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Money for that many tokens."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / 1e6


class Budget(StageParams):
    """What one run may spend: it stops before a request that could pass a limit."""

    requests: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0, description="of questions and answers together")
    money: float | None = Field(default=None, ge=0, description="in the currency of the prices")


class OpenAI(StageParams):
    """Any server that speaks OpenAI's chat completions protocol.

    The API key is read from the environment variable `api_key_env` and is written nowhere.

    Attributes:
        model: the server's name of the model.
        temperature: of the answers; 0 takes the likeliest word each time.
        seed: of the answers; each attempt has its own.
        api_key_env: environment variable with the key, where the flow runs.
        concurrency: requests at once.
        requests_per_minute: as many as the server allows; any if not given.
        tokens_per_minute: as many as the server allows; any if not given.
    """

    type: Literal["openai"]
    model: str = Field(min_length=1)
    revision: str | None = Field(default=None, description="tells apart what servers call by the same model name")
    temperature: float = Field(default=0.0, ge=0)
    seed: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=512, ge=1, description="length of an answer at most")
    extra: dict[str, JsonValue] = Field(
        default={}, description="further fields of the request, such as {reasoning_effort: low}; null leaves one out"
    )
    base_url: Runtime[str | None] = Field(default=None, description="OpenAI's own server when not given")
    api_key_env: Runtime[str] = "OPENAI_API_KEY"
    concurrency: Runtime[int] = Field(default=8, ge=1)
    requests_per_minute: Runtime[float | None] = Field(default=None, gt=0)
    tokens_per_minute: Runtime[float | None] = Field(default=None, gt=0)
    prices: Runtime[Prices | None] = Field(default=None, description="without them nothing is said of costs")
    budget: Runtime[Budget] = Field(default=Budget(), description="of each run; answers from the cache are free")
    max_retries: Runtime[int] = Field(default=6, ge=0, description="repeats after 429, 5xx and broken connections")
    timeout: Runtime[float] = Field(default=120.0, gt=0, description="seconds for one answer, to its last byte")
    batch: Runtime[bool] = Field(default=False, description="ask by the Batch API: cheaper, within a day")
    batch_poll: Runtime[float] = Field(default=30.0, gt=0, description="seconds between two looks at a batch")

    @model_validator(mode="after")
    def _money_needs_prices(self) -> OpenAI:
        if self.budget.money is not None and self.prices is None:
            raise ValueError("budget.money needs prices: {prompt: ..., completion: ...}")
        return self


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


ProviderParams = Annotated[LlamaCpp | OpenAI | DescriptorFile, Field(discriminator="type")]
"""Who describes, told apart by `type`."""

LanguageModel = Annotated[LlamaCpp | OpenAI, Field(discriminator="type")]
"""Who can be asked, told apart by `type`."""


class DescribeParams(StageParams):
    """Parameters of the stage describe."""

    classes: tuple[str, ...] = Field(min_length=1, description="class names in the order of their ids")
    provider: ProviderParams
    prompt: Runtime[Path | None] = Field(default=None, description="YAML file with `system` and `user`")
    context: str | None = Field(default=None, min_length=1, description="what the photos show, such as indoor scenes")
    glosses: dict[str, str] | None = Field(default=None, description="class name to what it means, if it is ambiguous")
    contrast: tuple[tuple[str, ...], ...] = Field(
        default=(), description="groups of class names that further phrases are to tell apart"
    )
    contrast_prompt: Runtime[Path | None] = Field(default=None, description="the prompt for these groups")
    contrast_provider: LanguageModel | None = Field(
        default=None, description="who is asked about these groups; the provider when not given, which a file cannot be"
    )
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
    def _named_classes_exist(self) -> DescribeParams:
        named = [*(self.glosses or {}), *(name for group in self.contrast for name in group)]
        unknown = [name for name in named if name not in self.classes]
        if unknown:
            raise ValueError(f"glosses and contrast: not among the classes: {', '.join(map(repr, unknown))}")
        for group in self.contrast:
            if len(set(group)) < 2 or len(set(group)) < len(group):
                raise ValueError(f"contrast: expected groups of two or more different classes, got {list(group)}")
        if len(set(map(frozenset, self.contrast))) < len(self.contrast):
            raise ValueError("contrast: the same group comes twice")
        return self

    @model_validator(mode="after")
    def _questions_have_words_and_someone_to_answer(self) -> DescribeParams:
        if self.describer is not None and self.prompt is None:
            raise ValueError(f"provider {self.provider.type!r} needs `prompt`, for instance configs/prompts/short.yaml")
        if self.contrast and self.contraster is None:
            raise ValueError(
                "contrast: provider 'file' cannot be asked; say who can, for instance "
                "contrast_provider: {type: openai, model: gpt-4o-mini}"
            )
        if self.contrast and self.contrast_prompt is None:
            raise ValueError("contrast needs `contrast_prompt`, for instance configs/prompts/contrast.yaml")
        return self

    @property
    def describer(self) -> LlamaCpp | OpenAI | None:
        """The language model that describes the classes; None where a file does."""
        return None if isinstance(self.provider, DescriptorFile) else self.provider

    @property
    def contraster(self) -> LlamaCpp | OpenAI | None:
        """The language model that tells classes apart; None where none is to."""
        return (self.contrast_provider or self.describer) if self.contrast else None

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """The files of the providers, and the words of the prompts where they are used."""
        external = self.provider.external(hashes)
        if self.describer is not None and self.prompt is not None:
            external["prompt"] = read_prompt(self.prompt).hash
        if self.contraster is not None and self.contrast_prompt is not None:
            external["contrast_prompt"] = read_prompt(self.contrast_prompt, contrast=True).hash
            if self.contrast_provider is not None:
                external["contrast_provider"] = self.contrast_provider.external(hashes)
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
