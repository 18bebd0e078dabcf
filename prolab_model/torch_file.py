"""Reads files of `torch.save` that other programs wrote, without running what is in them."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct, scalar

# Training scripts put their arguments beside the weights; they are plain data, as are arrays and numbers of NumPy.
# NumPy 1 wrote other module names for the same two functions.
_DATA: list[Any] = [
    argparse.Namespace,
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in "?bBhHiIlLqQefdSU"),
    *(
        (function, f"numpy.{core}.multiarray.{function.__name__}")
        for function in (_reconstruct, scalar)
        for core in ("_core", "core")
    ),
]


def read_torch_file(path: Path) -> Any:
    """What a file of `torch.save` holds, tensors on the CPU, read with `weights_only=True`.

    Tensors, NumPy arrays and numbers, text, containers and a script's arguments are read; a file that needs code to
    be run is refused.
    Tensors stay on the disk until they are used, so that an optimizer's state that nobody wants costs nothing.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is no such file, is damaged, or holds anything else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    with torch.serialization.safe_globals(_DATA):
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
        except pickle.UnpicklingError as error:
            # Not torch's own message, which recommends to let the file run what it wants.
            refused = re.search(r"GLOBAL (\S+) was not an allowed", str(error))
            found = f"it refers to {refused[1]}" if refused else "it is another file, or damaged"
            raise ValueError(f"{path}: expected a file of torch.save with nothing but data in it; {found}") from error
        except (RuntimeError, EOFError, ValueError, KeyError, IndexError) as error:
            raise ValueError(f"{path}: not a file of torch.save, or damaged: {error}") from error
