"""The GPU that these tests are for."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def device() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device: run `python -m pytest -m gpu tests/gpu` where there is one")
    # Products of float32 as exact as the CPU's, with which they are compared.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda")
