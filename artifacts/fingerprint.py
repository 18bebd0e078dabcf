"""A hash of code that does not see comments, docstrings and formatting."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from artifacts.canonical import json_hash
from artifacts.errors import StoreError
from artifacts.hashing import file_hash

_OTHER_SOURCES = (".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp", ".inc", ".html", ".css", ".js", ".md", ".yaml")


def code_fingerprint(sources: Sequence[str]) -> str:
    """Hash the code of packages and modules, named as in `import`, without importing them.

    A package counts with every module below it, and with its C++ and CUDA sources and its templates, by their bytes.

    Returns:
        64 hexadecimal digits.

    Raises:
        StoreError: a name is no module.
    """
    return json_hash({name: _file_fingerprint(path) for source in sources for name, path in _files(source)})


def _files(source: str) -> Iterator[tuple[str, Path]]:
    places = _places(source)
    if not places:
        raise StoreError(f"no module named {source!r}, which a stage names as a source of its code")
    for place in places:
        if place.is_file():
            yield source, place
        for path in sorted(place.rglob("*")):
            if path.suffix == ".py" or path.suffix in _OTHER_SOURCES:
                yield f"{source}/{path.relative_to(place).as_posix()}", path


def _places(source: str) -> list[Path]:
    """The module's file, or the folder of the package; several folders for a namespace package."""
    # find_spec of a dotted name would import the packages before the last dot, so it is given the first name only.
    top, *rest = source.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)] if spec.origin and spec.origin.endswith(".py") and not rest else []
    paths = [Path(folder, *rest) for folder in spec.submodule_search_locations]
    modules = [path.with_suffix(".py") for path in paths if path.with_suffix(".py").is_file()]
    return modules or [path for path in paths if path.is_dir()]


def _file_fingerprint(path: Path) -> str:
    if path.suffix != ".py":
        return file_hash(path)
    status = path.stat()
    return _python_fingerprint(path, status.st_mtime_ns, status.st_size)


@cache
def _python_fingerprint(path: Path, modified: int, size: int) -> str:
    """Hash of a module's code; remembered for a file of this time and size."""
    tree = _parse(path)
    _remove_docstrings(tree)
    return json_hash(ast.unparse(tree))


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SystemError:
        # CPython 3.11 counts the depth of the trees of all threads together, and takes two at once for a fault (its
        # issue 106905).
        return ast.parse(path.read_bytes(), filename=str(path))


def _remove_docstrings(node: ast.AST) -> None:
    """Take texts that are statements out, and `pass`: a body may be a docstring, `pass` or both, and does the same."""
    # Statements are in these lists only; expressions, which are most of a module, are not looked into.
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        if hasattr(node, name):
            kept = [inner for inner in getattr(node, name) if not _does_nothing(inner)]
            setattr(node, name, kept)
            for inner in kept:
                _remove_docstrings(inner)


def _does_nothing(node: ast.AST) -> bool:
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant(value=str())):
            return True
    return False
