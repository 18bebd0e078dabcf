from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from prolab_model.batch_norm import GatheredBatchNorm, gather_batch_norm


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process; what several do together is in the tests of training."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_gathered_batch_norm_is_batch_norm() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 5, 1), nn.BatchNorm2d(5), nn.Sequential(nn.ReLU(), nn.BatchNorm2d(5))).double()
    gathered = copy.deepcopy(plain)
    gather_batch_norm(gathered)
    assert [type(module) for module in gathered.modules()].count(GatheredBatchNorm) == 2
    assert gathered.state_dict().keys() == plain.state_dict().keys()
    for network in (plain, gathered):
        network.train()
        for step in range(3):
            torch.manual_seed(step)
            images = torch.randn(4, 3, 6, 7, dtype=torch.float64, requires_grad=True)
            (network(images) * torch.randn(4, 5, 6, 7)).sum().backward()
    for one, other in zip(plain.parameters(), gathered.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad)
    for one, other in zip(plain.buffers(), gathered.buffers(), strict=True):
        torch.testing.assert_close(other, one)
    images = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    torch.testing.assert_close(gathered.eval()(images), plain.eval()(images))
