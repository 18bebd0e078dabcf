"""Compiles the kernels when the package is installed; needs nothing but Python and a compiler.

What cannot be built is left out with a warning, and `ops/compiled/report.json` says why: PyTorch's operators take over.
A library is kept under a hash of its sources, commands and compiler in the user's cache, so that installing again takes
no time.

Environment variables: CXX, the C++ compiler; PROLAB_CUDA, 1 to build for GPUs and 0 not to (unset: where nvcc and a
CUDA build of torch, or a GPU, are found); PROLAB_CUDA_ARCHITECTURES, for instance "80;90".
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "csrc"
CUDA_ARCHITECTURES = "80;86;89;90;100"

# In gnu++17 a multiplication and an addition become one instruction, in c++17 they do not.
_CPU_FLAGS = ("-O3", "-std=gnu++17", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
_INSTRUCTION_SETS = {
    "portable": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma", "-mprefer-vector-width=512"),
}


class BuildError(Exception):
    """Why a library cannot be built, in one line."""


@dataclass(frozen=True)
class Recipe:
    """How a library comes about: commands that each compile one object, and the one that links them.

    `{output}` and `{objects}` stand for paths that are known when it is made.
    """

    name: str
    compiler: str
    targets: tuple[str, ...]
    objects: tuple[tuple[str, ...], ...]
    link: tuple[str, ...]

    def key(self) -> str:
        """A hash of all that decides what comes out."""
        version = subprocess.run([self.compiler, "--version"], capture_output=True, text=True, check=True).stdout
        texts = [path.read_text(encoding="utf-8") for path in sorted(SOURCES.iterdir())]
        known = [version, platform.machine(), *map(repr, (self.objects, self.link)), *texts]
        return hashlib.sha256("\0".join(known).encode()).hexdigest()[:24]


def cpu_recipe(compiler: str | None = None, flags: Sequence[str] = ()) -> Recipe:
    """The CPU's library: the same kernel for every set of instructions of this kind of processor.

    Raises:
        BuildError: when there is no C++ compiler.
    """
    compiler = (
        compiler or os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    )
    if not compiler:
        raise BuildError("no C++ compiler found (install one, or set CXX)")
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    sets = _INSTRUCTION_SETS if is_x86 else {"portable": ()}
    threads = ("-fopenmp",) if _accepts(compiler, "-fopenmp") else ()
    common = (compiler, *_CPU_FLAGS, *threads, *flags, "-c", "-o", "{output}")
    objects = [
        (*common, *options, f"-DPROLAB_INSTRUCTIONS={name}", str(SOURCES / "cpu.cpp")) for name, options in sets.items()
    ]
    objects.append((*common, str(SOURCES / "cpu_support.cpp")))
    link = (compiler, "-shared", *threads, *flags, "{objects}", "-o", "{output}")
    return Recipe("deformable_attention_cpu", compiler, tuple(sets), tuple(objects), link)


def cuda_recipe() -> Recipe:
    """The GPU's library, for the architectures that are asked for and that nvcc knows.

    Raises:
        BuildError: when it is not wanted, or there is no nvcc.
    """
    wanted = os.environ.get("PROLAB_CUDA")
    if wanted == "0":
        raise BuildError("PROLAB_CUDA is 0")
    homes = [Path(home) / "bin" for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if home]
    compiler = shutil.which("nvcc") or shutil.which("nvcc", path=os.pathsep.join(map(str, homes)))
    if not compiler:
        raise BuildError("no nvcc found (install a CUDA toolkit, or set CUDA_HOME)")
    if wanted != "1" and not _has_cuda():
        raise BuildError("neither a CUDA build of torch nor a GPU found (set PROLAB_CUDA=1 to build all the same)")
    known = subprocess.run([compiler, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout
    asked = (os.environ.get("PROLAB_CUDA_ARCHITECTURES") or CUDA_ARCHITECTURES).replace(".", "").split(";")
    architectures = [name for name in asked if f"compute_{name}" in known.split()]
    if not architectures:
        raise BuildError(f"nvcc knows none of the architectures {asked}; it knows {' '.join(known.split())}")
    codes = [f"-gencode=arch=compute_{name},code=sm_{name}" for name in architectures]
    # For GPUs that come after the newest of these.
    codes.append(f"-gencode=arch=compute_{architectures[-1]},code=compute_{architectures[-1]}")
    flags = ("-O3", "-std=c++17", "-Xcompiler=-fPIC", "--threads=0", *codes)
    return Recipe(
        "deformable_attention_cuda",
        compiler,
        tuple(f"sm_{name}" for name in architectures),
        ((compiler, *flags, "-c", str(SOURCES / "cuda.cu"), "-o", "{output}"),),
        (compiler, "-shared", "-cudart=static", "{objects}", "-o", "{output}"),
    )


def make(recipe: Recipe) -> Path:
    """The library, out of the cache or compiled anew, its objects in parallel.

    Raises:
        BuildError: when a command fails; carries the compiler's first error.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "prolab" / "kernels"
    library = cache / recipe.key() / f"{recipe.name}.so"
    if library.exists():
        return library
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder, ThreadPoolExecutor(os.cpu_count()) as threads:
        objects = [str(Path(folder) / f"{number}.o") for number in range(len(recipe.objects))]
        for _ in threads.map(_run, recipe.objects, objects):
            pass
        linked = Path(folder) / library.name
        _run(recipe.link, str(linked), objects)
        linked.replace(library)
    return library


def build(target: Path) -> None:
    """Put what can be built into the folder `target`, and a report of it; warn of what cannot."""
    target.mkdir(parents=True, exist_ok=True)
    report = {}
    for device_type, find_recipe in (("cpu", cpu_recipe), ("cuda", cuda_recipe)):
        path = target / f"deformable_attention_{device_type}.so"
        try:
            recipe = find_recipe()
            made = make(recipe)
            # A process that has the old library mapped must keep it: a new file, not new contents.
            beside = path.with_suffix(".new")
            shutil.copy2(made, beside)
            beside.replace(path)
            report[device_type] = f"built with {Path(recipe.compiler).name} for {', '.join(recipe.targets)}"
        except (BuildError, OSError, subprocess.SubprocessError) as error:
            path.unlink(missing_ok=True)
            report[device_type] = f"not built: {error}"
            if device_type == "cpu" or os.environ.get("PROLAB_CUDA") == "1":
                print(f"warning: deformable attention for {device_type} {report[device_type]}", file=sys.stderr)
    (target / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _accepts(compiler: str, flag: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.cpp"
        source.write_text("int nothing;\n", encoding="ascii")
        command = [compiler, flag, "-shared", "-fPIC", str(source), "-o", str(source.with_suffix(".so"))]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _has_cuda() -> bool:
    """Whether torch, beside this package, is built for CUDA; before it is installed, whether there is a GPU."""
    version = Path(sysconfig.get_path("purelib")) / "torch" / "version.py"
    if version.exists():
        return re.search(r"^cuda\b[^=]*= *['\"]", version.read_text(encoding="utf-8"), re.MULTILINE) is not None
    return Path("/proc/driver/nvidia/version").exists()


def _run(command: Sequence[str], output: str, objects: Sequence[str] = ()) -> None:
    words: list[str] = []
    for word in command:
        words += objects if word == "{objects}" else [word.replace("{output}", output)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise BuildError(f"{Path(words[0]).name} failed: {errors[0] if errors else f'exit code {done.returncode}'}")
