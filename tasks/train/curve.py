"""The learning curve, and the check that the loss is a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed

from prolab_model.openmmlab import Hook, IterBasedRunner
from tasks.errors import InputError

Point = tuple[int, str, float]
"""Iteration, name and value of one figure of the learning curve."""


class CurveHook(Hook):
    """Makes the learning curve: every `interval` iterations the mean loss, and the accuracy of the last of them.

    Args:
        interval: iterations between two points.
        checks: iterations besides, in a multiple of which the loss must be known to be a number.

    Attributes:
        points: the curve; others may add figures of their own.
    """

    def __init__(self, interval: int, checks: int) -> None:
        self.interval = interval
        self.checks = checks
        self.points: list[Point] = []
        self._sum, self._count = 0.0, 0
        self._losses: list[Tensor] = []  # of the steps since the last check; they stay on the device until then
        self._files: list[Sequence[str]] = []

    def before_train_iter(self, runner: IterBasedRunner) -> None:
        """Have the accuracy measured only where it is written down."""
        runner.model.module.measure_accuracy = self._ends(runner, self.interval)

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Add this iteration; close the interval when it is full or the run ends.

        Raises:
            InputError: the loss is no number any more; names the photos.
        """
        self._losses.append(runner.outputs["loss"])
        self._files.append([meta["filename"] for meta in runner.data_batch["img_metas"]])
        closes = self._ends(runner, self.interval)
        if closes or self._ends(runner, self.checks):
            self._check(runner.iter + 1)
        if closes:
            self.points += [
                (runner.iter + 1, "loss", self._sum / self._count),
                (runner.iter + 1, "accuracy", float(_mean_over_processes(runner.outputs["accuracy"]))),
                (runner.iter + 1, "learning_rate", max(runner.current_lr())),
            ]
            self._sum, self._count = 0.0, 0

    def _ends(self, runner: IterBasedRunner, interval: int) -> bool:
        iteration: int = runner.iter + 1
        return iteration % interval == 0 or iteration == int(runner.max_iters)

    def _check(self, iteration: int) -> None:
        own = torch.stack(self._losses).double()
        losses = _mean_over_processes(own)
        if not losses.isfinite().all():
            first = int((~losses.isfinite()).nonzero()[0])
            files = _of_all_processes([] if own[first].isfinite() else list(self._files[first]))
            raise InputError(
                f"train: the loss is {float(losses[first])} at iteration {iteration - len(losses) + first + 1}, whose "
                f"crops are of {', '.join(files)}. Look at these files, or lower train.learning_rate or train.precision"
            )
        self._sum += float(losses.sum())
        self._count += len(losses)
        self._losses, self._files = [], []

    def last(self) -> dict[str, float]:
        """The newest value of each figure, if there are any yet."""
        newest = {name: value for _, name, value in self.points if name != "learning_rate"}
        return {name: round(value, 4) for name, value in newest.items()}

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on; the losses of all iterations so far have been checked."""
        return {"points": self.points, "loss": self._sum, "count": self._count}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.points, self._sum, self._count = state["points"], state["loss"], state["count"]


def _mean_over_processes(values: Tensor) -> Tensor:
    if not distributed.is_initialized():
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()


def _of_all_processes(files: list[str]) -> list[str]:
    if not distributed.is_initialized():
        return files
    gathered: list[list[str]] = [[] for _ in range(distributed.get_world_size())]
    distributed.all_gather_object(gathered, files)
    return [file for part in gathered for file in part]
