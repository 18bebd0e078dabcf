"""One step of the optimizer: forward and backward pass of its crops, in parts and on all processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from prolab_model.batch_norm import gather_batch_norm
from prolab_model.openmmlab import MODULE_WRAPPERS, get_dist_info
from prolab_model.segmentor import PropertySegmentor
from tasks.train import TrainParams

Batch = Mapping[str, Any]

_WARM_UP = 10  # steps over which the average begins to look back


@MODULE_WRAPPERS.register_module()
class SteppingModel(nn.Module):
    """What mmcv's runner trains.

    Args:
        segmentor: the network, on its device; its batch norm comes to be taken over all processes.
        params: how it is trained.

    Attributes:
        module: the network whose weights the optimizer changes.
        scaler: keeps float16 gradients from vanishing.
        average: moving average of the weights, where one is kept.
    """

    def __init__(self, segmentor: PropertySegmentor, params: TrainParams) -> None:
        super().__init__()
        self.device = segmentor.class_weights.device
        _, self.processes = get_dist_info()
        if self.processes > 1:
            gather_batch_norm(segmentor)
        self.module = segmentor
        self.accumulate = params.accumulate
        self.clip_norm = params.clip_norm
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=params.precision == "float16")
        self.average = None if params.ema is None else _averaged(segmentor, params.ema)
        network = _TrainStep(segmentor)
        self._network: nn.Module = DistributedDataParallel(network) if self.processes > 1 else network

    @property
    def trained(self) -> PropertySegmentor:
        """The network to use: the average of the weights where one is kept."""
        return self.module if self.average is None else cast(PropertySegmentor, self.average.module)

    def train_step(self, data_batch: Batch, optimizer: torch.optim.Optimizer, **kwargs: Any) -> dict[str, Tensor]:
        """Change the parameters once.

        Args:
            data_batch: "img" (B, 3, H, W), "gt_semantic_seg" (B, 1, H, W) of uint8, "img_metas"; this process's share.
            optimizer: of the network's parameters.
            kwargs: nothing; part of the runner's protocol.

        Returns:
            "loss", and "accuracy" where it is measured; of this process, and left on the device.
        """
        images = data_batch["img"].to(self.device, non_blocking=True)
        labels = data_batch["gt_semantic_seg"].to(self.device, non_blocking=True).long()
        metas = data_batch["img_metas"]
        # Every pixel counts as it would in one batch: parts and processes may have few or many labelled ones.
        total_weight = self._mean_over_processes(self.module.total_weight(metas, labels))
        optimizer.zero_grad()
        outputs = []
        size = len(images) // self.accumulate
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            with self._gradients_stay_here(until_last=start + size < len(images)):
                output = self._network(images[part], metas[part], labels[part], total_weight)
                self.scaler.scale(output["loss"]).backward()
            outputs.append({name: value.detach() for name, value in output.items()})
        self.scaler.unscale_(optimizer)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip_norm)
        self.scaler.step(optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update_parameters(self.module)
        combined = {"loss": torch.stack([output["loss"] for output in outputs]).sum()}
        if "accuracy" in outputs[0]:
            combined["accuracy"] = torch.stack([output["accuracy"] for output in outputs]).mean()
        return combined

    def _mean_over_processes(self, value: Tensor) -> Tensor:
        if self.processes > 1:
            distributed.all_reduce(value)
        mean: Tensor = value / self.processes
        return mean

    def _gradients_stay_here(self, until_last: bool) -> AbstractContextManager[None]:
        """Processes exchange the gradients of a step once, with those of its last part."""
        if until_last and isinstance(self._network, DistributedDataParallel):
            waiting: AbstractContextManager[None] = self._network.no_sync()
            return waiting
        return nullcontext()


class _TrainStep(nn.Module):
    """The network's training step as a forward pass, which is what `DistributedDataParallel` looks after."""

    def __init__(self, segmentor: PropertySegmentor) -> None:
        super().__init__()
        self.segmentor = segmentor

    def forward(self, images: Tensor, metas: list[Any], labels: Tensor, total_weight: Tensor) -> dict[str, Tensor]:
        batch = {"img": images, "img_metas": metas, "gt_semantic_seg": labels, "total_weight": total_weight}
        return self.segmentor.train_step(batch, None)


def _averaged(segmentor: PropertySegmentor, decay: float) -> AveragedModel:
    """A copy whose weights follow; they look back over a growing part of the run, `1 / (1 - decay)` steps at most."""

    def follow(average: Sequence[Tensor], current: Sequence[Tensor], steps: Tensor | int) -> None:
        count = int(steps)
        weight = 1 - min(decay, (1 + count) / (_WARM_UP + count))
        torch._foreach_lerp_(list(average), list(current), weight)

    return AveragedModel(segmentor, multi_avg_fn=follow)
