"""Settings of commands that run a single stage: one section of an experiment, from options and overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ConfigDict, create_model

from flows.settings import Settings
from flows.validation import validate_settings
from tasks.stage import StageParams

P = TypeVar("P", bound=StageParams)


def read_section(section: str, params: type[P], overrides: Sequence[str], given: Mapping[str, Any], option: str) -> P:
    """Parameters of one stage: what an option gives, and overrides such as `embed.lower_case=false` on top.

    Args:
        section: its name in experiments.
        params: their model.
        overrides: of `--set`.
        given: values below the overrides.
        option: the one that gave them.

    Raises:
        InputError: naming the override, the key, the value and what is accepted.
    """
    settings = Settings()
    settings.lay({section: dict(given)}, origin=option)
    settings.override(overrides)
    fields: dict[str, Any] = {section: (params, ...)}
    model = create_model("Section", __config__=ConfigDict(extra="forbid", frozen=True), **fields)
    read: P = getattr(validate_settings(settings, model, source=option), section)
    return read
