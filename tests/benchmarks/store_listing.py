"""Times a listing of 10,000 artifacts against reading every manifest as plain JSON, in one process.

Run: python tests/benchmarks/store_listing.py
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from artifacts import Kind, Recipe, Store

KIND = Kind(name="thing", tables={"rows.parquet": pa.schema([("x", pa.int32())])}, content=("rows.parquet",))


def write(folder: Path) -> dict[str, int]:
    """Write the only file of a small artifact."""
    pq.write_table(pa.table({"x": [1, 2, 3]}, schema=KIND.tables["rows.parquet"]), folder / "rows.parquet")
    return {"rows": 3}


def fill(root: Path, count: int) -> None:
    """Publish one artifact and copy its manifest under other versions."""
    built = Store(root).build(Recipe("make", KIND, "code", {}, {}), write).artifact
    text = (built.path / "manifest.json").read_text(encoding="utf-8")
    for number in range(count - 1):
        version = f"{number:012x}"
        folder = built.path.parent / f"{version}-{built.manifest.key[:16]}"
        folder.mkdir()
        (folder / "manifest.json").write_text(text.replace(built.version, version), encoding="utf-8")


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifacts", type=int, default=10_000)
    count = parser.parse_args().artifacts
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        fill(root, count)
        start = time.perf_counter()
        plain = [json.loads(path.read_bytes()) for path in root.glob("artifacts/*/*/manifest.json")]
        reading = time.perf_counter() - start
        start = time.perf_counter()
        listed = Store(root).list()
        listing = time.perf_counter() - start
    if not len(plain) == len(listed) == count:
        raise SystemExit(f"expected {count} artifacts, read {len(plain)} and listed {len(listed)}")
    print(f"{count} manifests: read as JSON {reading:.2f} s, listed {listing:.2f} s, ratio {reading / listing:.2f}")


if __name__ == "__main__":
    main()
