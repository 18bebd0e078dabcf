"""The fingerprint sees what code does, and not how it is laid out or explained."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts import StoreError, code_fingerprint

CODE = '''\
"""A module."""
from steps.helper import double


def run(x: int, *, scale: float = 2.0) -> float:
    """Scale."""
    # Twice.
    if x:
        pass
    return double(x) * scale
'''
HELPER = "def double(x):\n    return 2 * x\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "steps"
    (folder / "deep").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('it was imported')\n")
    (folder / "run.py").write_text(CODE)
    (folder / "helper.py").write_text(HELPER)
    (folder / "deep" / "kernel.cpp").write_text("int x;  // one\n")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def fingerprint() -> str:
    return code_fingerprint(["steps"])


EDITS_THAT_COUNT = {
    "helper": lambda folder: (folder / "helper.py").write_text(HELPER.replace("2", "3")),
    "default": lambda folder: (folder / "run.py").write_text(CODE.replace("2.0", "2.5")),
    "name": lambda folder: (folder / "run.py").write_text(CODE.replace("scale", "factor")),
    "new module": lambda folder: (folder / "deep" / "more.py").write_text("x = 1\n"),
    "moved module": lambda folder: (folder / "helper.py").rename(folder / "deep" / "helper.py"),
    "c++": lambda folder: (folder / "deep" / "kernel.cpp").write_text("int y;  // one\n"),
}
EDITS_THAT_DO_NOT = {
    "comment": lambda folder: (folder / "run.py").write_text(CODE.replace("Twice", "Thrice") + "# end\n"),
    "docstring": lambda folder: (folder / "run.py").write_text(CODE.replace("Scale.", "Scale it.")),
    "no docstring": lambda folder: (folder / "run.py").write_text(CODE.replace('    """Scale."""\n', "")),
    "format": lambda folder: (folder / "run.py").write_text(
        CODE.replace("x: int, *, scale: float = 2.0", "\n    x: int,\n    *,\n    scale: float=2.0,\n").replace(
            "\n\n", "\n"
        )
    ),
    "other file": lambda folder: (folder / "notes.txt").write_text("x"),
}


@pytest.mark.parametrize("edit", EDITS_THAT_COUNT.values(), ids=EDITS_THAT_COUNT)
def test_edit_that_counts(package: Path, edit: Callable[[Path], object]) -> None:
    before = fingerprint()
    edit(package)
    assert fingerprint() != before


@pytest.mark.parametrize("edit", EDITS_THAT_DO_NOT.values(), ids=EDITS_THAT_DO_NOT)
def test_edit_that_does_not(package: Path, edit: Callable[[Path], object]) -> None:
    before = fingerprint()
    edit(package)
    assert fingerprint() == before


def test_module_alone_does_not_see_its_neighbours(package: Path) -> None:
    before = code_fingerprint(["steps.run"])
    EDITS_THAT_COUNT["helper"](package)
    assert code_fingerprint(["steps.run"]) == before
    assert code_fingerprint(["steps.run", "steps.helper"]) != before


def test_nothing_is_imported(package: Path) -> None:
    code_fingerprint(["steps", "steps.run", "steps.deep"])
    assert "steps" not in sys.modules


def test_unknown_module_is_named(package: Path) -> None:
    with pytest.raises(StoreError, match=r"no module named 'steps\.absent'"):
        code_fingerprint(["steps.absent"])
    with pytest.raises(StoreError, match=r"no module named 'absent\.steps'"):
        code_fingerprint(["absent.steps"])
    with pytest.raises(StoreError, match="no module named 'math'"):
        code_fingerprint(["math"])  # compiled
