"""The JSON schema of parameters as Prefect's dashboard reads it, which makes a form of it."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import JsonSchemaValue

from tasks.markdown import without_tags


def for_form(schema: JsonSchemaValue, docstring: str) -> None:
    """Change a model's schema so that a form says what the docstring does, and shows every choice.

    Args:
        schema: of the model, without its references resolved; changed in place.
        docstring: of the model, in Google's style.
    """
    _describe(schema, docstring)
    for field in schema.get("properties", {}).values():
        if "description" in field:
            field["description"] = without_tags(field["description"])
        if "const" in field:
            # The only value there is: the form shows nothing for a `const` alone, and leaves it out.
            field["enum"] = [field["const"]]
            field["default"] = field["const"]
        alternatives = _alternatives(field)
        field.pop("oneOf", None)
        field.pop("discriminator", None)
        if alternatives:
            field["anyOf"] = alternatives


def _describe(schema: JsonSchemaValue, docstring: str) -> None:
    # It takes a fifth of a second to import, which commands without a form need not pay.
    from griffe import Docstring, DocstringSectionAttributes, DocstringSectionText, parse_google

    for section in parse_google(Docstring(docstring), warnings=False):
        if isinstance(section, DocstringSectionText):
            schema["description"] = section.value
        elif isinstance(section, DocstringSectionAttributes):
            for attribute in section.value:
                schema["properties"][attribute.name].setdefault("description", attribute.description)


def _alternatives(field: dict[str, Any]) -> list[dict[str, Any]]:
    """The types that a field may have, in one list: the dashboard knows `anyOf`, and neither `oneOf` nor levels."""
    alternatives = field.get("anyOf", field.get("oneOf", []))
    return [inner for alternative in alternatives for inner in (_alternatives(alternative) or [alternative])]
