"""The dashboard's pages on what a stage made: its report with pictures, what it read and wrote, its parameters."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import httpx
from prefect.artifacts import create_markdown_artifact
from pydantic import JsonValue

from artifacts import Artifact, Store
from tasks.markdown import code, table
from tasks.stage import StageParams
from tasks.text import shorten

log = logging.getLogger(__name__)

_PICTURE = re.compile(r"!\[(?P<caption>[^\]]*)\]\((?P<file>[^)\s:]+\.(?:png|jpg))\)")
_WIDEST_PICTURE = 1200  # pixels; the dashboard's column is narrower
_LARGEST_PICTURES = 1_200_000  # bytes on a page; from about 2 MB as text on, the dashboard shows nothing at all
_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}
_LONGEST_VALUE = 300  # letters of a parameter


def page_name(step: str) -> str:
    """What a step's pages are called after: lower-case letters, digits and dashes, as Prefect wants it."""
    return re.sub("[^a-z0-9]+", "-", step.lower())


def publish_pages(
    step: str, headline: str, artifact: Artifact, inputs: Mapping[str, Artifact], params: StageParams, store: Store
) -> None:
    """Show what a step made, or found in the store.

    Args:
        step: what users call it.
        headline: what became of it, in a line.
        artifact: what it made or found.
        inputs: what it read, or would have read.
        params: its parameters.
        store: where all this lies.
    """
    uses = [*((f"read as {name}", read) for name, read in inputs.items()), ("wrote", artifact)]
    parts = [
        with_pictures((artifact.path / "report.md").read_text(encoding="utf-8"), artifact.path),
        "## Read and wrote",
        # No table: its lines would be too long for the page.
        "\n".join(
            f"- {use}: {code(each.reference)} in {code(str(each.path))}, content {code(each.digest)}"
            for use, each in uses
        ),
        *([f"The store shares them through {code(store.remote_url)}."] if store.remote_url else []),
        "## Parameters",
        table(("parameter", "value"), [(code(key), code(value)) for key, value in _parameters(params)]),
    ]
    try:
        create_markdown_artifact("\n\n".join(parts), f"{page_name(step)}-report", headline)
    except httpx.HTTPError as error:
        # A page that the server does not take is no reason to give up the work that it tells of.
        log.warning("the dashboard was not told: %s: %s", type(error).__name__, error)


def _parameters(params: StageParams) -> Iterator[tuple[str, str]]:
    """Names, with dots between levels, and values as JSON."""

    def flatten(name: str, value: JsonValue) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from flatten(f"{name}.{key}", inner)
        else:
            yield name, shorten(json.dumps(value, ensure_ascii=False), _LONGEST_VALUE)

    for name, value in params.model_dump(mode="json").items():
        yield from flatten(name, value)


def with_pictures(markdown: str, folder: Path) -> str:
    """The text with its pictures inside, since the dashboard cannot read the store."""
    largest = _LARGEST_PICTURES // max(1, len(_PICTURE.findall(markdown)))

    def embed(match: re.Match[str]) -> str:
        return f"![{match['caption']}]({_data_uri(folder / match['file'], largest)})"

    return _PICTURE.sub(embed, markdown)


def _data_uri(path: Path, largest: int) -> str:
    """The picture, as wide as `largest` bytes allow."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"{path}: expected a PNG or JPEG picture")
    height, width = picture.shape[:2]
    shown = min(width, _WIDEST_PICTURE)
    while True:
        size = (shown, max(1, round(height * shown / width)))
        smaller = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if shown < width else picture
        jpeg = cv2.imencode(".jpeg", smaller, (cv2.IMWRITE_JPEG_QUALITY, 85))[1].tobytes()
        # Plots are smaller as they are; to encode them as PNG again would take longer than everything else.
        file = [(_MEDIA_TYPES[path.suffix], path.read_bytes())] if shown == width else []
        media_type, content = min((*file, ("image/jpeg", jpeg)), key=lambda encoded: len(encoded[1]))
        if len(content) <= largest:
            return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
        shown = shown * 3 // 4
