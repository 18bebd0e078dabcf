"""Settings of `prolab import labels`: the encoder that a label space was made with, and how it was used."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from flows.settings import Settings
from flows.validation import validate_settings
from tasks.embed import EmbedParams

_ENCODER = "--encoder"


class ImportSettings(BaseModel):
    """The one section of an experiment that an import needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    embed: EmbedParams


def read_embed_params(encoder: str, overrides: Sequence[str] = ()) -> EmbedParams:
    """Parameters of the stage embed: the encoder, and overrides such as `embed.lower_case=false` on top.

    Raises:
        InputError: naming the override, the key, the value and what is accepted.
    """
    settings = Settings()
    settings.lay({"embed": {"encoder": encoder}}, origin=_ENCODER)
    settings.override(overrides)
    return validate_settings(settings, ImportSettings, source=_ENCODER).embed
