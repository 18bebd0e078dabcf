"""Settings of `prolab import labels`: the encoder that a label space was made with, and how it was used."""

from __future__ import annotations

from collections.abc import Sequence

from flows.section_settings import read_section
from tasks.embed import EmbedParams


def read_embed_params(encoder: str, overrides: Sequence[str] = ()) -> EmbedParams:
    """Parameters of the stage embed: the encoder, and overrides such as `embed.lower_case=false` on top.

    Raises:
        InputError: naming the override, the key, the value and what is accepted.
    """
    return read_section("embed", EmbedParams, overrides, given={"encoder": encoder}, option="--encoder")
