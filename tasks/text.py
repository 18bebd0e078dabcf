"""Texts for reports, pictures and pages."""

from __future__ import annotations


def shorten(text: str, limit: int) -> str:
    """The text, with an ellipsis where it is longer than `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
