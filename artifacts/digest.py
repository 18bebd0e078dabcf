"""The digest of an artifact's content: of what its files say, not of how they say it.

Two parquet files with the same rows can differ in every byte (compression, row groups, the writer's
version), and so can two safetensors files with the same tensors. A stage that gives the same content
again must not rebuild what lies behind it, so rows and tensors are hashed in one canonical form.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from blake3 import blake3

from artifacts.canonical import canonical, json_hash
from artifacts.errors import ValidationError
from artifacts.hashing import file_hash


def content_digest(folder: Path, names: Iterable[str]) -> str:
    """Hash of the content of the named files, 64 hexadecimal digits."""
    return json_hash({name: file_digest(folder / name) for name in names})


def file_digest(path: Path) -> str:
    """Hash of one file's content: parquet by rows, safetensors by tensors, JSON by values, others by bytes."""
    return _DIGESTS.get(path.suffix, file_hash)(path)


def table_digest(path: Path) -> str:
    """Hash of a parquet file's column names, types and rows; the order of rows and of columns counts."""
    hasher = _hasher()
    file = pq.ParquetFile(path)
    for name in file.schema_arrow.names:
        hasher.update(canonical(name))
        chunks = [_long(chunk) for chunk in file.read(columns=[name]).column(0).chunks]
        _feed(hasher, pa.concat_arrays(chunks) if chunks else _long(pa.nulls(0, file.schema_arrow.field(name).type)))
    return hasher.hexdigest()


def tensors_digest(path: Path) -> str:
    """Hash of a safetensors file's tensors: names, types, shapes and bytes, whatever their order in the file."""
    hasher = _hasher()
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        memoryview(data) as view,
    ):
        start = 8 + int.from_bytes(view[:8], "little")
        header = json.loads(bytes(view[8:start]))
        header.pop("__metadata__", None)
        for name, entry in sorted(header.items()):
            first, last = entry.pop("data_offsets")
            hasher.update(canonical([name, entry]))
            with view[start + first : start + last] as tensor:
                hasher.update(tensor)
    return hasher.hexdigest()


def json_digest(path: Path) -> str:
    """Hash of a JSON file's value."""
    return json_hash(json.loads(path.read_bytes()))


_DIGESTS: dict[str, Callable[[Path], str]] = {
    ".parquet": table_digest,
    ".safetensors": tensors_digest,
    ".json": json_digest,
}


def _hasher() -> blake3:
    return blake3(max_threads=blake3.AUTO)


def _long(array: pa.Array) -> pa.Array:
    """The same text with 64-bit offsets: joined chunks may hold more than 2 GiB."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type):
        return array.cast(pa.large_string())
    if pa.types.is_binary(array.type):
        return array.cast(pa.large_binary())
    return array


def _feed(hasher: blake3, array: pa.Array) -> None:
    """Feed type, length, nulls and values of an array, independent of chunks, offsets and what lies under nulls."""
    array = _long(array)
    kind = array.type
    hasher.update(canonical([_type_name(kind), len(array), array.null_count]))
    if array.null_count:
        hasher.update(_bytes(array.is_null().cast(pa.uint8())))
    if pa.types.is_null(kind):
        return
    if _is_list(kind):
        hasher.update(_bytes(pc.list_value_length(array).fill_null(0).cast(pa.int64())))
        _feed(hasher, pc.list_flatten(array))
    elif pa.types.is_struct(kind):
        for field, values in zip(kind, array.flatten(), strict=True):
            hasher.update(canonical(field.name))
            _feed(hasher, values)
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        _feed_text(hasher, array.fill_null(b"" if pa.types.is_large_binary(kind) else ""))
    elif pa.types.is_boolean(kind):
        hasher.update(_bytes(array.fill_null(False).cast(pa.uint8())))
    elif pa.types.is_temporal(kind):
        integer = pa.int64() if kind.bit_width == 64 else pa.int32()
        hasher.update(_bytes(array.view(integer).fill_null(0)))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        hasher.update(_bytes(array.fill_null(0)))
    else:
        raise ValidationError(f"a column of type {kind} cannot be part of an artifact's content")


def _feed_text(hasher: blake3, array: pa.Array) -> None:
    _, offset_buffer, data = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    hasher.update(np.diff(offsets).tobytes())
    if data is not None:
        hasher.update(memoryview(data)[offsets[0] : offsets[-1]])


def _bytes(array: pa.Array) -> bytes:
    return np.asarray(array.to_numpy(zero_copy_only=False)).tobytes()


def _is_list(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType)


def _type_name(kind: pa.DataType) -> str:
    # Lists are lists whatever the width of their offsets, and the same goes for text.
    return "list" if _is_list(kind) else str(kind).removeprefix("large_")
