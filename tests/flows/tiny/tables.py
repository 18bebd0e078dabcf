"""The helper that all tiny stages share."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from artifacts import Artifact
from tiny.stages import ROWS


def write_rows(folder: Path, texts: Sequence[str]) -> None:
    table = pa.table({"id": range(len(texts)), "text": list(texts)}, schema=ROWS)
    pyarrow.parquet.write_table(table, folder / "rows.parquet")


def read_texts(artifact: Artifact) -> list[str]:
    return artifact.table("rows.parquet")["text"].to_pylist()
