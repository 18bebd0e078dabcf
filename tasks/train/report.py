"""What the train stage shows: the learning curve and a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from prolab_model.checkpoint import ModelCard
from tasks.kinds import CHECKPOINT
from tasks.train import TrainParams
from tasks.train.curve import Point


def write_curve(path: Path, points: Sequence[Point]) -> None:
    """Write the learning curve as a table."""
    rows = [{"iteration": iteration, "name": name, "value": value} for iteration, name, value in points]
    pq.write_table(pa.Table.from_pylist(rows, schema=CHECKPOINT.tables[path.name]), path)


def draw_learning_curve(path: Path, points: Sequence[Point]) -> None:
    """Loss and pixel accuracy by iteration."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        curve = [(iteration, value) for iteration, other, value in points if other == name]
        axes.plot(*zip(*curve, strict=True), color="#2a6f97")
        axes.set(title=f"Training {name}", xlabel="iteration")
        axes.set_ylim(bottom=0, top=1 if name == "accuracy" else None)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def write_report(path: Path, params: TrainParams, card: ModelCard, figures: Mapping[str, float]) -> None:
    """Short markdown for the dashboard."""
    rows = {
        "network": params.model.stem,
        "pretrained weights": params.pretrained_name(),
        "classes": len(card.classes),
        "properties": len(card.properties),
        "iterations": f"{params.max_iters} of {params.batch_size} crops of {params.crop_size} x {params.crop_size}",
        "precision": params.precision,
        "seed": params.seed,
        **{f"training {name} at the end": value for name, value in figures.items()},
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    path.write_text(
        f"# Trained {params.model.stem}\n\n| | |\n| --- | --- |\n{table}\n\n![Learning curve](learning_curve.png)\n",
        encoding="utf-8",
    )
