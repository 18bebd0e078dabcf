"""Examples of what a network in training predicts, and what TensorBoard shows of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from prolab_model.openmmlab import Hook, IterBasedRunner
from tasks.errors import InputError
from tasks.pictures import Colour, lay_over
from tasks.train.curve import CurveHook


@dataclass(frozen=True)
class Example:
    """A photo (H, W, 3) RGB with its class ids and the predicted ones (H, W)."""

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    prediction: npt.NDArray[np.uint8]
    palette: Sequence[Colour]

    def panels(self) -> npt.NDArray[np.uint8]:
        """Photo, labels and prediction side by side."""
        maps = [lay_over(self.image, labels, self.palette) for labels in (self.labels, self.prediction)]
        return np.concatenate([self.image, *maps], axis=1)


class Examples(Protocol):
    """Who shows examples."""

    def add_examples(self, iteration: int, examples: Sequence[Sequence[Example]]) -> None:
        """Show the examples of each data set after this iteration."""


class Board:
    """Writes event files.

    Args:
        folder: where they lie.
        iteration: what earlier ones say of later iterations is no longer so.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, iteration: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise InputError(
                "train.tensorboard needs TensorBoard: pip install 'prolab-pipeline[tensorboard]'"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=iteration + 1)

    def add_figure(self, name: str, iteration: int, value: float) -> None:
        """Add a point to one of the curves."""
        self._writer.add_scalar(f"train/{name}", value, iteration)

    def add_examples(self, iteration: int, examples: Sequence[Sequence[Example]]) -> None:
        """Add photos with their labels and predictions side by side; those of each data set by its number."""
        for dataset, photos in enumerate(examples):
            for number, example in enumerate(photos):
                name = f"photo, labels, prediction/{dataset}.{number}"
                self._writer.add_image(name, example.panels(), iteration, dataformats="HWC")

    def close(self) -> None:
        """Have everything on disk."""
        self._writer.close()


class BoardHook(Hook):
    """Puts new points of the learning curve on the board."""

    def __init__(self, board: Board, curve: CurveHook) -> None:
        self.board = board
        self.curve = curve

    def before_run(self, runner: IterBasedRunner) -> None:
        """What a run before this one has drawn is there."""
        self._drawn = len(self.curve.points)

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Draw what is new."""
        for iteration, name, value in self.curve.points[self._drawn :]:
            self.board.add_figure(name, iteration, value)
        self._drawn = len(self.curve.points)
