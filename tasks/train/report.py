"""What the train stage shows: the learning curve, examples and a summary, also while it runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from prolab_model.checkpoint import ModelCard
from prolab_model.openmmlab import Hook, IterBasedRunner
from prolab_model.whole_files import write_whole, written_whole
from tasks.kinds import CHECKPOINT
from tasks.markdown import table
from tasks.train import TrainParams
from tasks.train.board import Example
from tasks.train.curve import CurveHook, Point

REPORT, EXAMPLES, CURVE = "report.md", "examples.jpg", "learning_curve.png"

_TITLES = {"loss": "Training loss", "accuracy": "Training accuracy", "miou": "mIoU on photos of val"}
_EXAMPLES_WIDTH = 900  # pixels
_SECONDS_BETWEEN_REPORTS = 10.0


def write_curve(path: Path, points: Sequence[Point]) -> None:
    """Write the learning curve as a table."""
    rows = [{"iteration": iteration, "name": name, "value": value} for iteration, name, value in points]
    pq.write_table(pa.Table.from_pylist(rows, schema=CHECKPOINT.tables[path.name]), path)


def write_report(folder: Path, params: TrainParams, points: Sequence[Point], card: ModelCard | None = None) -> None:
    """Write a short report and the picture of the curve; examples are shown where a picture of them is in the folder.

    Args:
        folder: where they go.
        params: of the run.
        points: the learning curve.
        card: of the model, when the run is over.
    """
    _draw_curve(folder / CURVE, points, params.max_iters)
    parts = [f"# {'Trained' if card else 'Training'} {params.model.stem}", f"![Learning curve]({CURVE})"]
    if (folder / EXAMPLES).exists():
        parts += ["Photos, labels and predictions when the mIoU was last measured:", f"![Examples]({EXAMPLES})"]
    rows = {
        "network": params.model.stem,
        "pretrained weights": params.pretrained_name(),
        **({"classes": len(card.classes), "properties": len(card.properties)} if card else {}),
        "iterations": f"{params.max_iters} of {params.batch_size} crops of {params.crop_size} x {params.crop_size}",
        "precision": params.precision,
        "seed": params.seed,
        **{_TITLES[name]: round(value, 4) for _, name, value in points if name in _TITLES},
    }
    parts.append(table(("", "at the end" if card else "now"), rows.items()))
    write_whole(folder / REPORT, "\n\n".join(parts).encode())


def _draw_curve(path: Path, points: Sequence[Point], iterations: int) -> None:
    """Loss, pixel accuracy and mIoU by iteration, as far as they were measured."""
    curves = {name: [(at, value) for at, other, value in points if other == name] for name in _TITLES}
    drawn = {name: curve for name, curve in curves.items() if curve}
    figure = Figure(figsize=(4 * max(2, len(drawn)), 3), layout="constrained")
    for axes, (name, curve) in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn.items(), strict=True):
        # A curve of one point would not be seen without a marker.
        axes.plot(*zip(*curve, strict=True), color="#2a6f97", marker="o" if len(curve) < 10 else None, markersize=3)
        axes.set(title=_TITLES[name], xlabel="iteration")
        axes.set_xlim(0, iterations)
        axes.set_ylim(bottom=0, top=None if name == "loss" else 1)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    with written_whole(path) as file:
        figure.savefig(file, dpi=120, format="png")


class ReportHook(Hook):
    """Keeps the report of a run that lasts in a folder.

    Args:
        folder: where it lies.
        params: of the run.
        curve: of which there are new points now and then.
    """

    def __init__(self, folder: Path, params: TrainParams, curve: CurveHook) -> None:
        self._folder = folder
        self._params = params
        self._curve = curve
        self._drawn = 0
        self._written = time.monotonic()

    def add_examples(self, iteration: int, examples: Sequence[Sequence[Example]]) -> None:
        """Draw one photo a line."""
        lines = []
        for example in (example for photos in examples for example in photos):
            panels = example.panels()
            height = round(panels.shape[0] * _EXAMPLES_WIDTH / panels.shape[1])
            lines.append(cv2.resize(panels, (_EXAMPLES_WIDTH, height), interpolation=cv2.INTER_AREA))
        _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(np.concatenate(lines), cv2.COLOR_RGB2BGR))
        write_whole(self._folder / EXAMPLES, jpeg.tobytes())

    def after_train_iter(self, runner: IterBasedRunner) -> None:
        """Write the report when there is something new, and the last one is some seconds old."""
        points = self._curve.points
        if len(points) == self._drawn or time.monotonic() - self._written < _SECONDS_BETWEEN_REPORTS:
            return
        write_report(self._folder, self._params, points)
        self._drawn, self._written = len(points), time.monotonic()
