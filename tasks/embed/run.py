"""The stage embed: one vector for each description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from artifacts import FileHashes
from tasks.embed import EmbedParams
from tasks.embed.batches import encode_texts
from tasks.embed.encoder import open_encoders
from tasks.embed.model_folder import ModelFolder
from tasks.markdown import table
from tasks.models import HubModel, PathModel, parse_model
from tasks.stage import StageContext


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Embed every description and write vectors, the encoder's identity and a report.

    Raises:
        InputError: there is no such encoder, or it cannot be run as the parameters say.
    """
    params: EmbedParams = context.params
    descriptions = context.inputs["descriptions"].table("descriptions.parquet")
    folder = parse_model(params.encoder).fetch()
    texts = [
        embedded_text(params, text, category)
        for text, category in zip(descriptions["text"].to_pylist(), descriptions["class_name"].to_pylist(), strict=True)
    ]
    vectors = encode_texts(texts, open_encoders(params, folder), params.batch_size, context.progress)  # (M, D)
    if params.normalize:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    width = vectors.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)
    schema = descriptions.schema.append(pa.field("vector", column.type, nullable=False))
    pq.write_table(
        pa.Table.from_arrays([*descriptions.columns, column], schema=schema), context.output / "embeddings.parquet"
    )
    identity = _encoder_identity(params, folder, width, FileHashes(context.cache / "model_hashes.json"))
    (context.output / "encoder.json").write_text(json.dumps(identity, indent=2), encoding="utf-8")
    summary: dict[str, JsonValue] = {"descriptions": len(texts), "unique_texts": len(set(texts)), "width": width}
    (context.output / "report.md").write_text(_report(summary, identity), encoding="utf-8")
    return summary


def embedded_text(params: EmbedParams, text: str, category: str) -> str:
    """What of a description the encoder sees."""
    if params.lower_case:
        text, category = text.lower(), category.lower()
    return params.template.format(text=text, category=category)


def _encoder_identity(params: EmbedParams, folder: Path, width: int, hashes: FileHashes) -> dict[str, JsonValue]:
    model = parse_model(params.encoder)
    return {
        "name": folder.name if isinstance(model, PathModel) else params.encoder,
        "model": model.identity(hashes),
        # The hub's local cache names the folder after the commit.
        "commit": folder.name if isinstance(model, HubModel) else None,
        "own_pooling": ModelFolder(folder).pooling,
        **params.identity(),
        "width": width,
    }


def _report(summary: Mapping[str, JsonValue], identity: Mapping[str, JsonValue]) -> str:
    parts = [f"# {summary['unique_texts']} unique texts in {summary['width']} dimensions"]
    if identity["own_pooling"] not in (None, identity["pooling"]):
        parts.append(
            f"**Warning:** the pooling is {identity['pooling']!r}, but the encoder {identity['name']} was made for "
            f"{identity['own_pooling']!r}"
        )
    shown = {name: value for name, value in identity.items() if name not in ("model", "width")}
    parts.append(table(("setting", "value"), [("descriptions", summary["descriptions"]), *shown.items()]))
    return "\n\n".join(parts)
