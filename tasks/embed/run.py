"""The stage embed: each text once, then one row for each description."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue
from transformers.utils.logging import disable_progress_bar

from artifacts import FileHashes
from tasks.device import choose_device
from tasks.embed import EmbedParams
from tasks.markdown import table
from tasks.models import HubModel, PathModel, parse_model
from tasks.progress import Progress
from tasks.stage import StageContext

_log = logging.getLogger(__name__)
_Vectors = npt.NDArray[np.float32]


class Encoder(Protocol):
    """A sentence encoder."""

    def encode(self, texts: Sequence[str]) -> _Vectors:
        """Vectors of one batch of texts (B, D)."""


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Embed every description and write vectors, the encoder's identity and a report."""
    params: EmbedParams = context.params
    descriptions = context.inputs["descriptions"].table("descriptions.parquet")
    folder = parse_model(params.encoder).fetch()
    warning = _pooling_warning(folder, params)
    if warning:
        _log.warning(warning)

    texts = [text.lower() if params.lower_case else text for text in descriptions["text"].to_pylist()]
    unique = list(dict.fromkeys(texts))
    vectors = encode_unique(unique, _open_encoder(params, folder), params.batch_size, context.progress)
    if params.normalize:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    row_of = {text: row for row, text in enumerate(unique)}
    per_description = vectors[[row_of[text] for text in texts]]  # (M, D)

    width = vectors.shape[1]
    column = pa.FixedSizeListArray.from_arrays(pa.array(per_description.ravel()), width)
    schema = descriptions.schema.append(pa.field("vector", column.type, nullable=False))
    pq.write_table(
        pa.Table.from_arrays([*descriptions.columns, column], schema=schema), context.output / "embeddings.parquet"
    )
    identity = _encoder_identity(params, folder, width, FileHashes(context.cache / "model_hashes.json"))
    (context.output / "encoder.json").write_text(json.dumps(identity, indent=2), encoding="utf-8")
    summary: dict[str, JsonValue] = {"descriptions": len(texts), "unique_texts": len(unique), "width": width}
    (context.output / "report.md").write_text(_report(summary, identity, warning), encoding="utf-8")
    return summary


def encode_unique(texts: Sequence[str], encoder: Encoder, batch_size: int, progress: Progress) -> _Vectors:
    """Vectors of `texts` (U, D) in their order; texts of like length share a batch, so that little is padded."""
    by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    batches = [by_length[start : start + batch_size] for start in range(0, len(texts), batch_size)]
    vectors: list[_Vectors] = []
    with progress.bar("embed", total=len(texts), unit="texts") as bar:
        for rows in batches:
            vectors.append(encoder.encode([texts[row] for row in rows]))
            bar.advance(len(rows))
    return np.concatenate(vectors)[np.argsort(by_length)]


def _open_encoder(params: EmbedParams, folder: Path) -> Encoder:
    disable_progress_bar()  # type: ignore[no-untyped-call]  # the library leaves it without types
    device = choose_device(params.device, "embed.device")
    # Imported here because either library takes seconds to import, and only one is used.
    if params.backend == "flag_embedding":
        from tasks.embed.flag_embedding_encoder import FlagEmbeddingEncoder

        return FlagEmbeddingEncoder(folder, params.pooling, device)
    from tasks.embed.sentence_transformers_encoder import SentenceTransformersEncoder

    return SentenceTransformersEncoder(folder, params.pooling, device)


def _pooling_warning(folder: Path, params: EmbedParams) -> str | None:
    """What to say when a model's folder states another pooling than the one asked for."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return None
    config = json.loads(path.read_text(encoding="utf-8"))
    # Older folders have one flag for each pooling, newer ones name it.
    of_flags = {"cls": config.get("pooling_mode_cls_token"), "mean": config.get("pooling_mode_mean_tokens")}
    stated = config.get("pooling_mode") or [name for name, on in of_flags.items() if on]
    if stated in (params.pooling, [params.pooling]):
        return None
    return f"embed.pooling is {params.pooling!r}, but the encoder {params.encoder} was made for {stated!r} ({path})"


def _encoder_identity(params: EmbedParams, folder: Path, width: int, hashes: FileHashes) -> dict[str, JsonValue]:
    model = parse_model(params.encoder)
    return {
        "name": folder.name if isinstance(model, PathModel) else params.encoder,
        "model": model.identity(hashes),
        # The hub's local cache names the folder after the commit.
        "commit": folder.name if isinstance(model, HubModel) else None,
        "backend": params.backend,
        "pooling": params.pooling,
        "lower_case": params.lower_case,
        "normalize": params.normalize,
        "width": width,
    }


def _report(summary: Mapping[str, JsonValue], identity: Mapping[str, JsonValue], warning: str | None) -> str:
    parts = [f"# {summary['unique_texts']} unique texts in {summary['width']} dimensions"]
    if warning:
        parts.append(f"**Warning:** {warning}")
    shown = {name: value for name, value in identity.items() if name not in ("model", "width")}
    parts.append(table(("setting", "value"), [("descriptions", summary["descriptions"]), *shown.items()]))
    return "\n\n".join(parts)
