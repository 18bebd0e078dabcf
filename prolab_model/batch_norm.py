"""Batch normalisation over the crops of all processes that train together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def gather_batch_norm(module: nn.Module) -> None:
    """Take every batch norm in a module over all processes from now on; names and values of its state stay."""
    if next(module.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]  # torch's is untyped
    else:
        _gather_on_cpu(module)


def _gather_on_cpu(module: nn.Module) -> None:
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            norm = GatheredBatchNorm(child.num_features, child.eps, child.momentum, child.affine).to(child.weight)
            norm.load_state_dict(child.state_dict())
            setattr(module, name, norm)
        else:
            _gather_on_cpu(child)


class GatheredBatchNorm(nn.BatchNorm2d):
    """Batch norm by collective operations that every back end has; PyTorch's own `SyncBatchNorm` is for GPUs alone."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W) by mean and variance over the images of all processes."""
        if not self.training:
            return super().forward(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        own = values.new_tensor(values[:, 0].numel())
        count = _sum_over_processes(own)
        mean = _sum_over_processes(values.sum(dim=(0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum(dim=(0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1).clamp_min(1))
        normalised = centred * (variance + self.eps).rsqrt()[:, None, None]
        scaled: Tensor = normalised * self.weight[:, None, None] + self.bias[:, None, None]
        return scaled.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None, "no network here takes the plain average of all batches"
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked += 1


class _SumOverProcesses(torch.autograd.Function):
    """A sum that every process gets: its gradient is the sum of the gradients that they have."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        summed = gradient.clone()
        distributed.all_reduce(summed)
        return summed


def _sum_over_processes(values: Tensor) -> Tensor:
    summed: Tensor = _SumOverProcesses.apply(values)  # type: ignore[no-untyped-call]  # torch's is untyped
    return summed
