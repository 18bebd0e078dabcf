"""Reads configuration files in mmcv's format (Python with `_base_`) without mmcv, so that planning is fast."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

_BASE = "_base_"
_DELETE = "_delete_"


class ConfigError(ValueError):
    """A configuration file is missing, does not run or holds wrong values: says which file and which key."""


def read_config(path: Path | str) -> dict[str, Any]:
    """Run a Python configuration file and merge it over its `_base_` files.

    The rules are those of `mmcv.Config.fromfile`: dictionaries merge key by key, everything else
    replaces, a dictionary with `_delete_=True` replaces the base's, and no two bases define the same
    key. `{{ placeholders }}` are not supported.

    Raises:
        ConfigError: a file is missing, does not run, or cannot be merged with its bases.
    """
    return _read(Path(path).expanduser().absolute(), inheriting=())


def _read(path: Path, inheriting: tuple[Path, ...]) -> dict[str, Any]:
    if path in inheriting:
        raise ConfigError(f"{path}: the file is its own {_BASE}: {' -> '.join(map(str, (*inheriting, path)))}")
    values = _run(path)
    bases = values.pop(_BASE, [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        # Not resolved: `..` in a base is relative to where the file was named, as in mmcv.
        inherited = _read(path.parent / base, (*inheriting, path))
        if duplicates := sorted(merged.keys() & inherited.keys()):
            raise ConfigError(f"{path}: two files of {_BASE} define {', '.join(duplicates)}")
        merged |= inherited
    return _merge(values, merged, where=str(path))


def _run(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ConfigError(f"configuration file not found: {path}")
    if path.suffix != ".py":
        raise ConfigError(f"{path}: expected a Python configuration file (.py), got {path.suffix or 'no suffix'!r}")
    try:
        namespace = runpy.run_path(str(path))
    # A configuration file is a program: whatever it raises, the user needs to know in which file.
    except Exception as error:
        raise ConfigError(f"{path}: the file does not run: {type(error).__name__}: {error}") from error
    return {
        name: value
        for name, value in namespace.items()
        if not name.startswith("__") and not isinstance(value, ModuleType | FunctionType)
    }


def _merge(child: Mapping[str, Any], base: Mapping[str, Any], where: str) -> dict[str, Any]:
    merged = dict(base)
    for key, value in child.items():
        if not isinstance(value, dict):
            merged[key] = value
            continue
        inner = {name: item for name, item in value.items() if name != _DELETE}
        if key not in base or value.get(_DELETE, False):
            merged[key] = inner
        elif isinstance(base[key], dict):
            merged[key] = _merge(inner, base[key], f"{where}: {key}")
        else:
            raise ConfigError(
                f"{where}: {key} is a dictionary here and {type(base[key]).__name__} in {_BASE}; "
                f"add {_DELETE}=True to replace it"
            )
    return merged
