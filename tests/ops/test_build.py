"""How the kernels come about, and what happens where they cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops import build
from ops.build import BuildError, cpu_recipe, cuda_recipe

ROOT = Path(build.__file__).parents[1]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("CXX", "CUDA_HOME", "PROLAB_CUDA", "PROLAB_CUDA_ARCHITECTURES"):
        monkeypatch.delenv(name, raising=False)


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def test_no_compiler_means_a_warning_and_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    stale = tmp_path / "compiled" / "deformable_attention_cpu.so"
    stale.parent.mkdir()
    stale.write_bytes(b"of an older version")
    build.build(tmp_path / "compiled")
    assert "no C++ compiler found" in capsys.readouterr().err
    report = json.loads((tmp_path / "compiled" / "report.json").read_text())
    assert report["cpu"] == "not built: no C++ compiler found (install one, or set CXX)"
    assert report["cuda"].startswith("not built: ")
    assert not stale.exists()


def test_compiler_that_fails_is_named_with_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = executable(
        tmp_path / "bin" / "broken", 'echo "broken 1.0"; echo "x.cpp:1: error: no such luck" >&2; exit $(($# > 1))'
    )
    monkeypatch.setenv("CXX", str(compiler))
    build.build(tmp_path / "compiled")
    report = json.loads((tmp_path / "compiled" / "report.json").read_text())
    assert report["cpu"] == "not built: broken failed: x.cpp:1: error: no such luck"
    assert [path.name for path in (tmp_path / "compiled").iterdir()] == ["report.json"]


def test_second_build_comes_out_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that counts its calls and writes something stands in for a slow one."""
    compiler = executable(
        tmp_path / "bin" / "counting",
        f"echo call >> {tmp_path}/calls\n"
        'while [ $# -gt 0 ]; do [ "$1" = -o ] && echo made > "$2"; shift; done\n'
        "echo counting 1.0",
    )
    monkeypatch.setenv("CXX", str(compiler))
    library = build.make(cpu_recipe())
    assert library.read_text() == "made\n"
    calls = len((tmp_path / "calls").read_text().splitlines())
    assert build.make(cpu_recipe()) == library
    # Asked for its version, and tried with -fopenmp; nothing compiled.
    assert len((tmp_path / "calls").read_text().splitlines()) == calls + 2
    other = build.make(cpu_recipe(flags=["-DOTHER"]))
    assert other != library
    assert not [path for path in library.parent.iterdir() if path != library]


def test_sets_of_instructions_are_those_of_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    recipe = cpu_recipe()
    assert sum("-DPROLAB_INSTRUCTIONS=portable" in words for words in recipe.objects) == 1
    assert not any(word.startswith("-mavx") for words in recipe.objects for word in words)


def make_nvcc(folder: Path) -> Path:
    return executable(folder / "nvcc", "printf 'compute_80\\ncompute_90\\n'")


def test_gpus_are_built_for_when_asked_or_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{make_nvcc(tmp_path / 'bin').parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(build, "_has_cuda", lambda: False)
    with pytest.raises(BuildError, match="neither a CUDA build of torch nor a GPU found"):
        cuda_recipe()
    monkeypatch.setenv("PROLAB_CUDA", "1")
    (command,) = cuda_recipe().objects
    codes = [word for word in command if word.startswith("-gencode")]
    assert codes == [
        "-gencode=arch=compute_80,code=sm_80",
        "-gencode=arch=compute_90,code=sm_90",
        "-gencode=arch=compute_90,code=compute_90",
    ]
    monkeypatch.setenv("PROLAB_CUDA_ARCHITECTURES", "8.0")
    assert any(word == "-gencode=arch=compute_80,code=sm_80" for word in cuda_recipe().objects[0])
    monkeypatch.setenv("PROLAB_CUDA_ARCHITECTURES", "70")
    with pytest.raises(BuildError, match=r"none of the architectures \['70'\]; it knows compute_80 compute_90"):
        cuda_recipe()
    monkeypatch.setenv("PROLAB_CUDA", "0")
    with pytest.raises(BuildError, match="PROLAB_CUDA is 0"):
        cuda_recipe()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("cuda: Optional[str] = None\n", False), ("cuda: Optional[str] = '13.0'\n", True), ("hip = '6'\n", False)],
)
def test_torch_is_asked_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: bool
) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "version.py").write_text(f"__version__ = '2.13.0'\n{text}")
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert build._has_cuda() is expected


def test_package_works_without_any_kernel(tmp_path: Path) -> None:
    """A copy without what was compiled: a warning, the same result, and `doctor` says why."""
    shutil.copytree(ROOT / "ops", tmp_path / "ops", ignore=shutil.ignore_patterns("compiled", "__pycache__"))
    script = """
import warnings, torch
from ops import MSDeformAttn
attention = MSDeformAttn(8, levels=1, heads=2, points=2)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    output = attention(torch.ones(1, 3, 8), torch.full((3, 2), 0.5), torch.ones(1, 4, 8), [(2, 2)])
assert output.shape == (1, 3, 8)
print(told[0].message)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not built: the package was not installed with pip" in done.stdout
