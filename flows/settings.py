"""Settings in layers: YAML files that inherit from others, and overrides from the command line.

A mapping merges key by key into the one below it; everything else replaces what is below. A mapping
whose `type` differs from the one below replaces it, since another type has other keys.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tasks.errors import InputError

Key = tuple[str, ...]

_BASE = "base"
_OVERRIDE = "--set "


@dataclass
class Settings:
    """Nested values, and where each of them was set.

    Attributes:
        values: mappings, lists and scalars as in YAML.
        origins: file or override that set a key; it holds for the keys below, too, unless they have their own.
        prefix: what keys begin with in overrides: `camvid.` for an experiment that another one calls so.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Key, str] = field(default_factory=dict)
    prefix: str = ""

    def lay(self, layer: Mapping[str, Any], origin: str) -> None:
        """Lay one more layer on top."""
        self._merge(self.values, layer, (), origin)

    def override(self, overrides: Sequence[str]) -> None:
        """Lay overrides such as `train.max_iters=200` on top; paths in them are relative to the working directory.

        Raises:
            InputError: one of them is not KEY=VALUE.
        """
        for override in overrides:
            self.lay(_parse_override(override, self.prefix), origin=f"{_OVERRIDE}{override}")

    def replace(self, section: str, values: Mapping[str, Any], origin: str) -> None:
        """Put a section in the place of what was said of it before."""
        self.values.pop(section, None)
        self.lay({section: dict(values)}, origin)

    def fill_in(self, section: str, values: Mapping[str, Any], origin: str) -> None:
        """Set what nothing is said of in a section, which is a mapping, yet."""
        for name, value in values.items():
            if name not in self.values[section]:
                self.values[section][name] = value
                self.origins[section, name] = origin

    def origin(self, key: Key) -> str | None:
        """Where the key, or the nearest one above it, was set."""
        return next((self.origins[key[:end]] for end in range(len(key), 0, -1) if key[:end] in self.origins), None)

    def named(self, key: Key, source: str = "") -> str:
        """Where the key was set, or else `source`, and what it is called there: `a.yaml: train.max_iters`."""
        origin = self.origin(key) or source
        prefix = self.prefix if origin.startswith(_OVERRIDE) else ""
        return f"{origin}: {prefix}{'.'.join(key)}"

    def _merge(self, below: dict[str, Any], layer: Mapping[str, Any], prefix: Key, origin: str) -> None:
        for name, value in layer.items():
            key = (*prefix, name)
            if isinstance(value, Mapping) and isinstance(below.get(name), dict) and not _other_type(below[name], value):
                self._merge(below[name], value, key, origin)
            else:
                below[name] = value
                self.origins = {other: old for other, old in self.origins.items() if other[: len(key)] != key}
                self.origins[key] = origin


def _other_type(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    return "type" in above and "type" in below and above["type"] != below["type"]


def read_settings(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read a YAML file over its `base` files, and lay overrides such as `train.max_iters=200` on top.

    Strings that begin with `./` or `../` become absolute: in a file they are relative to that file, in an
    override to the working directory.

    Raises:
        InputError: a file is missing, is no YAML mapping or inherits from itself; an override is not KEY=VALUE.
    """
    settings = Settings()
    _lay_file(settings, _absolute_path(path, Path.cwd()), inheriting=())
    settings.override(overrides)
    return settings


def _lay_file(settings: Settings, path: Path, inheriting: tuple[Path, ...]) -> None:
    if path in inheriting:
        chain = " -> ".join(str(file) for file in (*inheriting, path))
        raise InputError(f"{path}: key {_BASE}: the file inherits from itself: {chain}")
    layer = _read_file(path)
    bases = layer.pop(_BASE, [])
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise InputError(f"{path}: key {_BASE}: expected a path or a list of paths, got {bases!r}")
    for base in bases:
        _lay_file(settings, _absolute_path(base, path.parent), (*inheriting, path))
    settings.lay(layer, origin=str(path))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        there = sorted(file.name for file in path.parent.glob("*.yaml"))
        hint = f"; in this folder there are {', '.join(there)}" if there else ""
        raise InputError(f"{path}: no such file{hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    values = _parse(text, where=str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return {name: _with_absolute_paths(value, path.parent) for name, value in values.items()}


def _parse_override(override: str, prefix: str) -> dict[str, Any]:
    name, equals, text = override.partition("=")
    key = name.strip().removeprefix(prefix).split(".")
    if not equals or not all(key):
        raise InputError(f"{_OVERRIDE}{override}: expected KEY=VALUE, for instance train.max_iters=200")
    value = _with_absolute_paths(_parse(text, where=f"{_OVERRIDE}{override}"), Path.cwd())
    for part in reversed(key[1:]):
        value = {part: value}
    return {key[0]: value}


def _with_absolute_paths(value: Any, folder: Path) -> Any:
    match value:
        case dict():
            return {name: _with_absolute_paths(item, folder) for name, item in value.items()}
        case list():
            return [_with_absolute_paths(item, folder) for item in value]
        case str() if value.startswith(("./", "../")):
            return str(_absolute_path(value, folder))
    return value


def _absolute_path(path: Path | str, folder: Path) -> Path:
    # Not Path.resolve: a link in the path is kept as the user wrote it.
    return Path(os.path.normpath(folder / path))


class _Loader(yaml.SafeLoader):
    """YAML as people mean it: `2e-5` is a number, keys are strings and no key comes twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: set[Any] = set()
        for key_node, _ in node.value:
            name = self.construct_object(key_node, deep=True)
            if not isinstance(name, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} is no string", key_node.start_mark)
            if name in names:
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} comes twice", key_node.start_mark)
            names.add(name)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not valid YAML: {error}") from error
