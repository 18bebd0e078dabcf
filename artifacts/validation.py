"""Whether a folder holds what its kind declares."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from artifacts.errors import ValidationError
from artifacts.kind import Kind
from artifacts.layout import MANIFEST


def file_names(folder: Path) -> list[str]:
    """Paths of all files below the folder, with forward slashes, in alphabetical order.

    Raises:
        ValidationError: one of them is a link or not a plain file, or takes the manifest's name.
    """
    names = []
    for parent, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ValidationError(f"{path} is no plain file: an artifact holds its files itself")
        names += [Path(parent, name).relative_to(folder).as_posix() for name in files]
    if MANIFEST in names:
        raise ValidationError(f"{folder / MANIFEST}: this name belongs to the store")
    return sorted(names)


def validate(kind: Kind, folder: Path) -> None:
    """Check that the folder holds the kind's tables, with their schemas, and its files.

    Raises:
        ValidationError: what is missing or different, by file and column.
    """
    missing = [name for name in (*kind.tables, *kind.files) if not (folder / name).is_file()]
    if missing:
        raise ValidationError(f"{kind.name}: the stage did not write {', '.join(missing)}")
    for name, schema in kind.tables.items():
        _validate_table(folder / name, schema, f"{kind.name}: {name}")


def _validate_table(path: Path, schema: pa.Schema, where: str) -> None:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise ValidationError(f"{where} is not a parquet file: {error}") from error
    actual = file.schema_arrow
    if actual.names != schema.names:
        raise ValidationError(f"{where}: expected columns {', '.join(schema.names)}; got {', '.join(actual.names)}")
    for field in schema:
        if not _fits(field.type, actual.field(field.name).type):
            raise ValidationError(
                f"{where}: expected column {field.name} of type {field.type}, got {actual.field(field.name).type}"
            )
        if not field.nullable and (nulls := file.read(columns=[field.name]).column(0).null_count):
            raise ValidationError(f"{where}: column {field.name} has {nulls} nulls and may have none")


def _fits(declared: pa.DataType, actual: pa.DataType) -> bool:
    if isinstance(declared, pa.ListType):
        is_list = isinstance(actual, pa.ListType | pa.LargeListType | pa.FixedSizeListType)
        return is_list and _fits(declared.value_type, actual.value_type)
    # pandas writes text with 64-bit offsets.
    return bool(actual == declared or (declared == pa.string() and actual == pa.large_string()))
