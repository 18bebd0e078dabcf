"""What a stage is: a declaration of parameters, inputs, output and code, apart from the code itself.

The declaration is light, so that planning and `--help` need not import torch; the function
that does the work is named by its import path and loaded when the stage really runs.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, JsonValue
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from artifacts import Artifact, FileHashes, Kind
from tasks.form import for_form
from tasks.progress import Progress


class _RuntimeMarker:
    """Marks a parameter that changes how a stage runs and not what it makes."""


T = TypeVar("T")
Runtime = Annotated[T, _RuntimeMarker()]
"""`Runtime[int]`: a parameter that is recorded and is no part of the artifact's key (device, worker count, path)."""


DeviceName = Literal["auto", "cpu", "cuda"]
"""Where a network runs; "auto" is the GPU where there is one."""


class StageParams(BaseModel):
    """Base of every stage's parameters: unknown names are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def identity(self) -> dict[str, JsonValue]:
        """The parameters that decide the output, as JSON values; `Runtime` fields are left out."""
        return _identity(self)

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """State of files outside the store that decide the output (a model file, a folder of photos)."""
        return {}

    def publishes(self) -> bool:
        """Whether this machine publishes what the stage makes, or only does its share for another one that does."""
        return True

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema that the dashboard makes a form of."""
        reference = handler(core_schema)
        for_form(handler.resolve_ref_schema(reference), inspect.getdoc(cls) or "")
        return reference


def _identity(model: BaseModel) -> dict[str, JsonValue]:
    dumped = model.model_dump(mode="json")
    identity: dict[str, JsonValue] = {}
    for name, info in type(model).model_fields.items():
        if _is_runtime(info):
            continue
        value = getattr(model, name)
        identity[name] = _identity(value) if isinstance(value, BaseModel) else dumped[name]
    return identity


def _is_runtime(info: FieldInfo) -> bool:
    return any(isinstance(item, _RuntimeMarker) for item in info.metadata)


@dataclass(frozen=True)
class StageContext:
    """What a running stage is given.

    Attributes:
        params: the stage's validated parameters.
        inputs: input artifacts by the name the stage declared.
        output: an empty folder; what is written here becomes the artifact.
        workspace: a folder that is called as this artifact's key, belongs to it and survives a kill; go on from what
            lies here.
        cache: a folder shared by all runs of the stage for content-keyed, immutable entries.
        progress: where long work reports.
    """

    params: Any
    inputs: Mapping[str, Artifact]
    output: Path
    workspace: Path
    cache: Path
    progress: Progress


@dataclass(frozen=True)
class Stage:
    """One step of the pipeline.

    Attributes:
        name: the stage's name in commands, manifests and the dashboard.
        params: the pydantic model of its parameters.
        inputs: kind of each input artifact, by input name.
        output: kind of the artifact it makes.
        function: import path "package.module:function" of `(StageContext) -> summary`; the
            summary is a flat mapping of headline figures that goes into the manifest. The
            function also writes `report.md` (and pictures it refers to) into the output.
        sources: packages or modules whose code decides the output; their normalised text is in the key.
        version: raise by hand when the output changes for a reason that the sources do not show.
    """

    name: str
    params: type[StageParams]
    inputs: Mapping[str, Kind]
    output: Kind
    function: str
    sources: tuple[str, ...]
    version: int = 1
    description: str = field(default="")

    def load(self) -> Callable[[StageContext], Mapping[str, JsonValue]]:
        """Import and return the stage's function."""
        module, _, name = self.function.partition(":")
        function: Callable[[StageContext], Mapping[str, JsonValue]] = getattr(importlib.import_module(module), name)
        return function
