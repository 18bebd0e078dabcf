"""A hash of code that does not see comments, docstrings and formatting."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
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
    spec = _find(source)
    if spec.submodule_search_locations is None:
        if spec.origin is None or not spec.origin.endswith(".py"):
            raise StoreError(f"{source} is no Python source: it comes from {spec.origin}")
        yield source, Path(spec.origin)
        return
    for folder in map(Path, spec.submodule_search_locations):
        for path in sorted(folder.rglob("*")):
            if path.suffix == ".py" or path.suffix in _OTHER_SOURCES:
                yield f"{source}/{path.relative_to(folder).as_posix()}", path


def _find(source: str) -> ModuleSpec:
    # find_spec of a dotted name would import its parents, so only the first part goes through it.
    top, *rest = source.split(".")
    spec = importlib.util.find_spec(top)
    name = top
    for part in rest:
        name = f"{name}.{part}"
        locations = spec.submodule_search_locations if spec else None
        spec = PathFinder.find_spec(name, locations) if locations else None
    if spec is None:
        raise StoreError(f"no module named {source!r}, which a stage names as a source of its code")
    return spec


def _file_fingerprint(path: Path) -> str:
    if path.suffix != ".py":
        return file_hash(path)
    status = path.stat()
    return _python_fingerprint(path, status.st_mtime_ns, status.st_size)


@cache
def _python_fingerprint(path: Path, modified: int, size: int) -> str:
    """Hash of a module's code; remembered for a file of this time and size."""
    tree = ast.parse(path.read_bytes(), filename=str(path))
    return json_hash(ast.unparse(_WithoutDocstrings().visit(tree)))


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        # `pass` stays in place of a docstring that is a whole body, and goes with those that are written.
        return None if is_text else node

    def visit_Pass(self, node: ast.Pass) -> None:
        return None
