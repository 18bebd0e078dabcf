"""One text for one JSON value, so that equal values have equal hashes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from blake3 import blake3

from artifacts.errors import ValidationError

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


def plain(value: object, where: str) -> JSON:
    """Return `value` built of dicts, lists and scalars only.

    JSON has no NaN and no infinity: they become the strings "nan", "inf" and "-inf".

    Raises:
        ValidationError: something in it is not JSON; `where` and the path below it are named.
    """
    match value:
        case None | bool():
            return value
        case str():
            return str(value)
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else str(float(value))
        case Mapping():
            for name in value:
                if not isinstance(name, str):
                    raise ValidationError(f"{where}: expected string keys, got {name!r}")
            return {str(name): plain(item, f"{where}.{name}") for name, item in value.items()}
        case list() | tuple():
            return [plain(item, f"{where}[{index}]") for index, item in enumerate(value)]
    raise ValidationError(f"{where}: expected a JSON value, got {type(value).__name__} {value!r}")


def canonical(value: JSON) -> bytes:
    """The value as JSON with sorted keys and without spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def json_hash(value: JSON) -> str:
    """blake3 of the canonical text, 64 hexadecimal digits."""
    return blake3(canonical(value)).hexdigest()
