"""Hooks of mmcv's runner: the state a killed run goes on from, and progress."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from artifacts.durable import fsync
from prolab_model.openmmlab import Hook, IterBasedRunner, get_dist_info
from prolab_model.whole_files import written_whole
from tasks.progress import ProgressBar
from tasks.train.curve import CurveHook
from tasks.train.step import SteppingModel
from tasks.train.validation import Best

log = logging.getLogger(__name__)


class TrainingStateHook(Hook):
    """Writes all that a run needs to go on, every `interval` iterations and at the end, atomically.

    These are the weights and their average, the optimizer, the scaler, the random state of every process, the curve
    and what is known of the best weights.
    """

    def __init__(self, path: Path, interval: int, curve: CurveHook, best: Best | None) -> None:
        self.path = path
        self.interval = interval
        self.curve = curve
        self.best = best

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Save after every `interval`-th and the last iteration."""
        iteration = runner.iter + 1
        if iteration % self.interval and iteration != runner.max_iters:
            return
        model: SteppingModel = runner.model
        random_states = _of_all_processes(_random_state(model.device))
        rank, _ = get_dist_info()
        if rank:
            return
        meta = {"iter": iteration, "epoch": 0, "random_states": random_states, "curve": self.curve.state()}
        state = {
            "meta": meta | {"best": None if self.best is None else self.best.state()},
            "state_dict": model.module.state_dict(),
            "average": None if model.average is None else model.average.state_dict(),
            "optimizer": runner.optimizer.state_dict(),
            "scaler": model.scaler.state_dict(),
        }
        with written_whole(self.path) as file:
            torch.save(state, file)
            fsync(file)

    def resume(self, runner: IterBasedRunner) -> None:
        """Put the runner where the last state was written, if there is one."""
        state = self._read()
        if state is None:
            return
        model: SteppingModel = runner.model
        runner.resume(str(self.path), map_location="cpu")
        model.scaler.load_state_dict(state["scaler"])
        if model.average is not None:
            model.average.load_state_dict(state["average"])
        meta = state["meta"]
        self.curve.restore(meta["curve"])
        if self.best is not None:
            self.best.restore(meta["best"])
        rank, _ = get_dist_info()
        if rank < len(meta["random_states"]):
            _restore_random_state(meta["random_states"][rank])

    def _read(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            log.warning("training from the start: the state of an earlier run cannot be read: %s: %s", self.path, error)
            return None
        return state


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    # Crops are drawn by their numbers: only the network itself draws from a generator that must go on.
    states = {"cpu": torch.get_rng_state()}
    return states | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else states


def _restore_random_state(states: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def _of_all_processes(state: Any) -> list[Any]:
    if not distributed.is_initialized():
        return [state]
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, state)
    return gathered


class ProgressHook(Hook):
    """Shows iterations, and the newest loss and accuracy of the learning curve."""

    def __init__(self, bar: ProgressBar, curve: CurveHook) -> None:
        self.bar = bar
        self.curve = curve

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Advance by one."""
        self.bar.advance(1, **self.curve.last())
