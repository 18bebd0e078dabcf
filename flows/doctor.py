"""`prolab doctor`: what this environment has, which way the network computes here, and why."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from artifacts import Store
from flows.artifact_commands import StoreOption
from flows.output import format_bytes, print_table
from flows.prefect_api import prefect_api_answers
from tasks.errors import InputError
from tasks.models import PACKAGE_MODELS

_PACKAGES = ("torch", "mmcv-full", "mmsegmentation", "prefect", "llama-cpp-python", "sentence-transformers", "pyarrow")


def doctor(store: StoreOption = Path("store")) -> None:
    """Say what is installed, which kernels and devices are used, and what is missing; changes nothing."""
    print_table(("what", "state"), list(_findings(store)))


def _findings(store: Path) -> Iterator[tuple[str, str]]:
    yield (
        "python",
        f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    )
    for package in _PACKAGES:
        yield package, _version(package)
    yield from _computing()
    for model in PACKAGE_MODELS:
        try:
            model.fetch()
            yield f"package:{model.package}", "installed, as pinned"
        except InputError as error:
            yield f"package:{model.package}", str(error)
    yield "prefect server", "answers" if prefect_api_answers() else "none: runs take place in the process"
    yield "store", _describe_store(store)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _computing() -> Iterator[tuple[str, str]]:
    import torch

    from ops.library import describe

    yield "threads", f"{torch.get_num_threads()} (OMP_NUM_THREADS)"
    count = torch.cuda.device_count()
    gpus = [
        f"{torch.cuda.get_device_name(index)}, "
        f"{format_bytes(torch.cuda.get_device_properties(index).total_memory)}, "
        f"compute capability {'.'.join(map(str, torch.cuda.get_device_capability(index)))}"
        for index in range(count)
    ]
    built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs only"
    yield "GPUs", "; ".join(gpus) or f"none (torch is built for {built_for})"
    yield "deformable attention on a CPU", describe("cpu")
    yield "deformable attention on a GPU", describe("cuda")


def _describe_store(path: Path) -> str:
    if not path.exists():
        return f"{path}: not there yet; the first run makes it"
    count = len(Store(path).list())
    return f"{path}: {count} artifacts, {format_bytes(shutil.disk_usage(path).free)} free on its disk"
