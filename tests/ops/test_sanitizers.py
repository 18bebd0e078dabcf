"""The CPU's kernel under AddressSanitizer and UndefinedBehaviorSanitizer, for each set of instructions."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ops.build import SOURCES, cpu_recipe
from ops.library import LIBRARIES

HERE = Path(__file__).resolve().parent
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++")
@pytest.mark.parametrize("instructions", [kernel.name for kernel in LIBRARIES["cpu"].kernels])
def test_nothing_is_read_or_written_outside(instructions: str, tmp_path: Path) -> None:
    command = next(words for words in cpu_recipe("g++").objects if f"-DPROLAB_INSTRUCTIONS={instructions}" in words)
    program = tmp_path / "sanitized"
    # The same command, but a program and not an object, less optimised and watched.
    flags = [word for word in command[:-1] if word not in ("-c", "-o", "{output}", "-O3")]
    built = subprocess.run(
        [*flags, "-O1", *SANITIZERS, f"-I{SOURCES}", str(HERE / "sanitized.cpp"), "-o", str(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot find" in built.stderr:
        pytest.skip(f"no sanitizers for this compiler: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    # The threads' pool of OpenMP is never given back.
    environment = os.environ | {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    ran = subprocess.run([str(program)], capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert "problems" in ran.stdout
