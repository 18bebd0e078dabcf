"""Where a network runs."""

from __future__ import annotations

import torch

from tasks.errors import InputError
from tasks.stage import DeviceName


def choose_device(name: DeviceName, parameter: str) -> str:
    """The device to run on; "auto" is the GPU where there is one.

    Raises:
        InputError: when `parameter` asks for a GPU and PyTorch finds none.
    """
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise InputError(f"{parameter}: cuda was asked for, and PyTorch {torch.__version__} finds no GPU")
    if name == "auto":
        return "cuda" if found else "cpu"
    return name
