"""The digest sees rows, tensors and values, and not how they are written."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from artifacts import ValidationError
from artifacts.digest import content_digest, file_digest

TABLE = pa.table(
    {
        "number": pa.array([1, None, 3, 4], pa.int32()),
        "flag": pa.array([True, False, None, True]),
        "text": pa.array(["a", "", None, "déjà"]),
        "blob": pa.array([b"x", None, b"", b"yz"]),
        "vector": pa.array([[1.0, 2.0], [], None, [3.0]], pa.list_(pa.float32())),
        "when": pa.array([0, 1, None, 3], pa.timestamp("ms")),
        "pair": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}, {"a": 2, "b": None}]),
    }
)


@pytest.fixture
def digest(tmp_path: Path):
    def write_and_digest(table: pa.Table, **options: object) -> str:
        path = tmp_path / "table.parquet"
        pq.write_table(table, path, **options)
        return file_digest(path)

    return write_and_digest


def test_same_rows_have_one_digest_however_they_are_written(digest) -> None:
    expected = digest(TABLE)
    assert digest(TABLE, compression="zstd") == expected
    assert digest(TABLE, row_group_size=1) == expected
    assert digest(TABLE, use_dictionary=False, version="1.0") == expected
    assert digest(pa.concat_tables([TABLE.slice(0, 3), TABLE.slice(3)])) == expected
    assert digest(TABLE.replace_schema_metadata({"written": "elsewhere"})) == expected
    long = TABLE.set_column(2, "text", TABLE["text"].cast(pa.large_string()))
    assert digest(long) == expected
    encoded = TABLE.set_column(2, "text", TABLE["text"].dictionary_encode())
    assert digest(encoded) == expected


def test_fixed_size_lists_are_lists(digest) -> None:
    rows = [[1.0, 2.0], [3.0, 4.0]]
    fixed = pa.table({"v": pa.array(rows, pa.list_(pa.float32(), 2))})
    assert digest(fixed) == digest(pa.table({"v": pa.array(rows, pa.list_(pa.float32()))}))
    assert digest(fixed.slice(1)) == digest(pa.table({"v": pa.array(rows[1:], pa.list_(pa.float32()))}))


@pytest.mark.parametrize(
    "other",
    [
        TABLE.take([1, 0, 2, 3]),
        TABLE.slice(1),
        TABLE.rename_columns(["no", *TABLE.column_names[1:]]),
        TABLE.select(list(reversed(TABLE.column_names))),
        TABLE.set_column(0, "number", TABLE["number"].cast(pa.int64())),
        TABLE.set_column(0, "number", pa.array([1, 0, 3, 4], pa.int32())),
        TABLE.set_column(2, "text", pa.array(["a", None, "", "déjà"])),
        TABLE.set_column(2, "text", pa.array(["", "a", None, "déjà"])),
        TABLE.set_column(4, "vector", pa.array([[1.0], [2.0], None, [3.0]], pa.list_(pa.float32()))),
    ],
    ids=["order", "fewer rows", "name", "column order", "type", "null", "null text", "text", "list bounds"],
)
def test_other_rows_have_another_digest(digest, other: pa.Table) -> None:
    assert digest(other) != digest(TABLE)


def test_empty_table_has_a_digest(digest) -> None:
    assert digest(TABLE.slice(0, 0)) == digest(TABLE.slice(0, 0), compression="gzip") != digest(TABLE)


def test_type_without_canonical_form_is_refused(digest) -> None:
    with pytest.raises(ValidationError, match="a column of type decimal"):
        digest(pa.table({"x": pa.array([1], pa.decimal128(5, 2))}))


def tensors(folder: Path, values: Mapping[str, np.ndarray], metadata: dict[str, str] | None = None) -> str:
    save_file(dict(values), folder / "model.safetensors", metadata)
    return file_digest(folder / "model.safetensors")


def test_tensors(tmp_path: Path) -> None:
    a, b = np.arange(6, dtype=np.float32), np.ones((2, 3), np.int64)
    expected = tensors(tmp_path, {"a": a, "b": b})
    assert tensors(tmp_path, {"b": b, "a": a}, {"epoch": "3"}) == expected
    assert tensors(tmp_path, {"a": b, "b": a}) != expected
    assert tensors(tmp_path, {"a": a.reshape(2, 3), "b": b}) != expected
    assert tensors(tmp_path, {"a": a.view(np.int32), "b": b}) != expected
    assert tensors(tmp_path, {"a": -a, "b": b}) != expected


def test_json_counts_by_value_and_other_files_by_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    one.write_text(json.dumps({"a": 1, "b": [1.5]}))
    other.write_text(json.dumps({"b": [1.5], "a": 1}, indent=4))
    assert file_digest(one) == file_digest(other)
    other.write_text(json.dumps({"b": [1.5], "a": 2}))
    assert file_digest(one) != file_digest(other)
    (tmp_path / "one.txt").write_text("a")
    (tmp_path / "other.txt").write_text("a ")
    assert file_digest(tmp_path / "one.txt") != file_digest(tmp_path / "other.txt")


def test_names_of_files_are_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").write_text("x")
    assert content_digest(tmp_path, ["a"]) != content_digest(tmp_path, ["b"])
