"""The dashboard's form of a deployment: fields with descriptions, defaults and choices, from the stages' parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Section = Mapping[str, Any] | None
"""Values of a section of an experiment, as a flow is given them."""


class FormOf:
    """Marks a flow's parameter as a section of an experiment: the dashboard shows the fields of the section's model.

    The values themselves pass unchecked: `load_experiment` looks at them together with the file and the overrides, and
    its errors say more.
    """

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Whatever the annotation takes; JSON, of which the form is made, as the model has it, if at all."""
        return core_schema.json_or_python_schema(
            json_schema=core_schema.nullable_schema(handler.generate_schema(self._model)), python_schema=handler(source)
        )
