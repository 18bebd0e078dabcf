"""`prolab doctor` tells what there is, in an environment that has all and in one that lacks something."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.doctor import doctor
from ops import library
from tasks.models import PACKAGE_MODELS


def findings(capsys: pytest.CaptureFixture[str], store: Path) -> dict[str, str]:
    doctor(store)
    lines = capsys.readouterr().out.splitlines()
    return dict(line.split("\t") for line in lines[1:])


def test_what_is_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(capsys, tmp_path / "store")
    assert found["torch"].startswith("2.")
    assert found["store"].endswith("not there yet; the first run makes it")
    assert not (tmp_path / "store").exists()
    if kernels := library.LIBRARIES["cpu"].kernels:
        assert found["deformable attention on a CPU"].startswith(f"compiled kernel ({kernels[0].name}), built with ")
    for model in PACKAGE_MODELS:
        assert found[f"package:{model.package}"]


def test_what_is_missing_is_told_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(library.LIBRARIES, "cpu", library.Library((), "not built: no C++ compiler found"))
    monkeypatch.setattr("flows.doctor._PACKAGES", ("no-such-package",))
    found = findings(capsys, tmp_path)
    assert found["deformable attention on a CPU"] == (
        "PyTorch's own operators; the compiled kernel is not built: no C++ compiler found"
    )
    assert found["no-such-package"] == "not installed"
