"""Hooks of mmcv's runner: the step, the learning curve, the state a killed run goes on from, progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from prolab_model.openmmlab import Hook, IterBasedRunner
from tasks.progress import ProgressBar

Point = tuple[int, str, float]
"""Iteration, name and value of one figure of the learning curve."""

_FIGURES = 3  # written down at a time: loss, accuracy, learning rate


class BackwardHook(Hook):
    """Backward pass, clipping and step of an iteration; nothing of it waits for a GPU, unlike mmcv's.

    Args:
        clip_norm: largest norm of the gradient, or nothing.
    """

    def __init__(self, clip_norm: float | None) -> None:
        self.clip_norm = clip_norm

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Change the parameters."""
        runner.optimizer.zero_grad()
        runner.outputs["loss"].backward()
        if self.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(runner.model.parameters(), self.clip_norm)
        runner.optimizer.step()


class CurveHook(Hook):
    """Makes the learning curve: every `interval` iterations the mean loss, and the accuracy of the last of them."""

    def __init__(self, interval: int) -> None:
        self.interval = interval
        self.points: list[Point] = []
        self._loss: float | torch.Tensor = 0.0  # sum; stays on the device until the interval is full
        self._count = 0

    def before_train_iter(self, runner: IterBasedRunner) -> None:
        """Have the accuracy measured only where it is written down."""
        runner.model.module.measure_accuracy = self._is_last_of_interval(runner)

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Add this iteration; close the interval when it is full or the run ends."""
        self._loss = self._loss + runner.outputs["loss"].detach().double()
        self._count += 1
        if self._is_last_of_interval(runner):
            iteration = runner.iter + 1
            self.points += [
                (iteration, "loss", float(self._loss) / self._count),
                (iteration, "accuracy", float(runner.outputs["accuracy"])),
                (iteration, "learning_rate", max(runner.current_lr())),
            ]
            self._loss, self._count = 0.0, 0

    def _is_last_of_interval(self, runner: IterBasedRunner) -> bool:
        iteration: int = runner.iter + 1
        return iteration % self.interval == 0 or iteration == int(runner.max_iters)

    def last(self) -> dict[str, float]:
        """The newest loss and accuracy, if there are any yet."""
        newest = self.points[-_FIGURES:]
        return {name: round(value, 4) for _, name, value in newest if name != "learning_rate"}

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on."""
        return {"points": self.points, "loss": float(self._loss), "count": self._count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.points, self._loss, self._count = state["points"], state["loss"], state["count"]


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
    """Shows iterations, and the newest loss and accuracy of the learning curve."""

    def __init__(self, bar: ProgressBar, curve: CurveHook) -> None:
        self.bar = bar
        self.curve = curve

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Advance by one."""
        self.bar.advance(1, **self.curve.last())
