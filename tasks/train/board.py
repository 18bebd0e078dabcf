"""What TensorBoard shows of a training run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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

    def add_examples(self, iteration: int, dataset: int, examples: Sequence[Example]) -> None:
        """Add photos with their labels and predictions side by side; those of each data set by its number."""
        for number, example in enumerate(examples):
            panels = [
                example.image,
                lay_over(example.image, example.labels, example.palette),
                lay_over(example.image, example.prediction, example.palette),
            ]
            name = f"photo, labels, prediction/{dataset}.{number}"
            self._writer.add_image(name, np.concatenate(panels, axis=1), iteration, dataformats="HWC")

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
