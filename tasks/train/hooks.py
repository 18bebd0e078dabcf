"""Hooks of mmcv's runner: the learning curve, the state a killed run goes on from, progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from prolab_model.openmmlab import Hook, IterBasedRunner
from tasks.progress import ProgressBar

Point = tuple[int, str, float]
"""Iteration, name and value of one figure of the learning curve."""

FIGURES = {"loss": "loss", "decode.accuracy": "accuracy"}


class CurveHook(Hook):
    """Averages the losses of every `interval` iterations into points of the learning curve."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.points: list[Point] = []
        self._sums: dict[str, float] = {}
        self._count = 0

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Add this iteration; close the interval when it is full or the run ends."""
        for key, name in FIGURES.items():
            self._sums[name] = self._sums.get(name, 0.0) + runner.outputs["log_vars"][key]
        self._count += 1
        iteration = runner.iter + 1
        if iteration % self.interval == 0 or iteration == runner.max_iters:
            self.points += [(iteration, name, total / self._count) for name, total in self._sums.items()]
            self.points.append((iteration, "learning_rate", max(runner.current_lr())))
            self._sums, self._count = {}, 0

    def last(self) -> dict[str, float]:
        """The newest value of each figure."""
        return {name: round(value, 4) for _, name, value in self.points if name in FIGURES.values()}

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on."""
        return {"points": self.points, "sums": self._sums, "count": self._count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.points, self._sums, self._count = state["points"], state["sums"], state["count"]


class TrainingStateHook(Hook):
    """Writes weights, optimizer, random state and curve every `interval` iterations and at the end, atomically."""

    def __init__(self, path: Path, interval: int, curve: CurveHook) -> None:
        self.path = path
        self.interval = interval
        self.curve = curve

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Save after every `interval`-th and the last iteration."""
        iteration = runner.iter + 1
        if iteration % self.interval and iteration != runner.max_iters:
            return
        unfinished = self.path.with_suffix(".tmp")
        meta = {"iter": iteration, "epoch": 0, "random_state": torch.get_rng_state(), "curve": self.curve.state()}
        state = {
            "meta": meta,
            "state_dict": runner.model.module.state_dict(),
            "optimizer": runner.optimizer.state_dict(),
        }
        torch.save(state, unfinished)
        unfinished.replace(self.path)

    def resume(self, runner: IterBasedRunner) -> None:
        """Put the runner where the last state was written, if there is one."""
        if not self.path.exists():
            return
        runner.resume(str(self.path), map_location="cpu")
        meta = torch.load(self.path, map_location="cpu", weights_only=True)["meta"]
        torch.set_rng_state(meta["random_state"])
        self.curve.restore(meta["curve"])


class ProgressHook(Hook):
    """Shows iterations, loss and accuracy."""

    def __init__(self, bar: ProgressBar) -> None:
        self.bar = bar

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Advance by one."""
        figures = {name: runner.outputs["log_vars"][key] for key, name in FIGURES.items()}
        self.bar.advance(1, **figures)
