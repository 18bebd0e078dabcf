"""Compiles the CUDA kernels for a CPU or a GPU."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ops.build import SOURCES

HERE = Path(__file__).resolve().parent


def compile_for_cpu(library: Path, sources: Path = SOURCES, options: Sequence[str] = ("-O1",)) -> Path:
    """Compiles the kernels in `sources` with g++ to `library`."""
    command = ["g++", "-std=c++17", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
    # Else libraries that are loaded side by side would share their inline variables, and with them the running block.
    command += ["-fno-gnu-unique"]
    command += ["-fno-strict-aliasing", *options, f"-I{HERE}", f"-I{sources}", str(HERE / "kernels.cpp")]
    result = subprocess.run([*command, "-o", str(library)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return library


def compile_for_gpu(library: Path, architecture: int) -> str:
    """Compiles the kernels with nvcc to `library`; what the assembler says of them."""
    command = ["nvcc", "-O3", "-std=c++17", "-shared", "-Xcompiler", "-fPIC,-Wall,-Wextra", "-cudart", "static"]
    command += ["-gencode", f"arch=compute_{architecture},code=sm_{architecture}", "-Werror", "all-warnings"]
    command += ["-Xptxas", "-v", str(SOURCES / "cuda.cu"), "-o", str(library)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stderr
