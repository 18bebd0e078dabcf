"""Says what is wrong with settings: which file, which key, which value, and what is accepted."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from flows.settings import Key, Settings
from tasks.errors import InputError

M = TypeVar("M", bound=BaseModel)

_LONGEST_VALUE = 80


def validate_settings(settings: Settings, model: type[M], source: str) -> M:
    """Turn settings that were read from the file `source` into a model.

    Raises:
        InputError: one line for each wrong key, with the place where it was set.
    """
    try:
        return model.model_validate(settings.values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise InputError("\n".join(_describe(problem, settings, model, source) for problem in problems)) from error


def suggest(name: str, accepted: Iterable[str]) -> str:
    """`; did you mean 'max_iters'? accepted are base_lr, max_iters` for `max_iter`."""
    accepted = list(accepted)
    nearest = difflib.get_close_matches(name, accepted, n=1)
    question = f"; did you mean {nearest[0]!r}?" if nearest else ";"
    return f"{question} accepted are {', '.join(accepted)}"


def _describe(problem: ErrorDetails, settings: Settings, model: type[BaseModel], source: str) -> str:
    key = _key(problem["loc"], settings.values)
    if problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        key = (*key, *_quoted(problem["ctx"]["discriminator"]))
    where = f"{settings.named(key, source)}: " if key else f"{source}: "
    message = problem["msg"].removeprefix("Value error, ")
    value = _shorten(repr(problem["input"]))
    match problem["type"]:
        case "extra_forbidden":
            return f"{where}unknown key{suggest(key[-1], _accepted_names(model, problem['loc'][:-1]))}"
        case "missing" | "union_tag_not_found":
            return f"{where}missing; it has no default"
        case "literal_error" | "enum":
            return f"{where}got {value}{suggest(str(problem['input']), _quoted(problem['ctx']['expected']))}"
        case "union_tag_invalid":
            tag = str(problem["ctx"]["tag"])
            return f"{where}got {tag!r}{suggest(tag, _quoted(problem['ctx']['expected_tags']))}"
    return f"{where}{message}, got {value}"


def _key(location: tuple[int | str, ...], values: Any) -> Key:
    """The key as in the file: pydantic's location without the tags of unions that it has in between."""
    key: list[str] = []
    for position, part in enumerate(location):
        if _holds(values, part):
            values = values[part]
        elif position < len(location) - 1 or not isinstance(values, Mapping):
            continue
        key.append(str(part))
    return tuple(key)


def _holds(values: Any, part: int | str) -> bool:
    if isinstance(values, Mapping):
        return part in values
    return isinstance(values, list) and isinstance(part, int) and part < len(values)


def _accepted_names(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model at the location."""
    models = [model]
    for part in location:
        fields = [candidate.model_fields[part] for candidate in models if part in candidate.model_fields]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
        else:
            models = [candidate for candidate in models if part in _tags(candidate)] or models
    return [name for candidate in models for name in candidate.model_fields]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _tags(model: type[BaseModel]) -> set[Any]:
    """Values by which a union can tell this model from others."""
    annotations = [field.annotation for field in model.model_fields.values()]
    return {tag for annotation in annotations if get_origin(annotation) is Literal for tag in get_args(annotation)}


def _quoted(text: str) -> list[str]:
    """The names that pydantic lists as "'a', 'b' or 'c'"."""
    return re.findall(r"'([^']*)'", text)


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
