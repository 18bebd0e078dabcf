"""A small kind of artifact that the tests make, also in processes of their own."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from artifacts import Artifact, Kind, Recipe

SCHEMA = pa.schema([pa.field("x", pa.int32(), nullable=False), pa.field("vector", pa.list_(pa.float32()))])
THING = Kind(
    name="thing",
    tables={"rows.parquet": SCHEMA},
    files=("notes.json", "report.md"),
    content=("rows.parquet", "notes.json"),
)
CODE = "c" * 64


def recipe(
    k: int = 1, *, stage: str = "make", code: str = CODE, inputs: Mapping[str, Artifact] | None = None, **more: object
) -> Recipe:
    return Recipe(stage, THING, code, {"k": k, **more}, inputs or {})


def writer(values: list[int] | None = None, report: str = "# Report\n") -> Callable[[Path], dict[str, int]]:
    """Write a thing with these rows."""
    values = [1, 2, 3] if values is None else values

    def write(folder: Path) -> dict[str, int]:
        columns = {"x": values, "vector": [[value, 0.5] for value in values]}
        pq.write_table(pa.table(columns, schema=SCHEMA), folder / "rows.parquet")
        (folder / "notes.json").write_text('{"unit": "m"}')
        (folder / "report.md").write_text(report)
        return {"rows": len(values)}

    return write
