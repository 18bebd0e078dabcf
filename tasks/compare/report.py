"""The page on two evaluations, to open from disk, and its picture beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from artifacts import Change
from tasks.compare.comparison import Comparison, Difference, verdict
from tasks.compare.pictures import draw_differences
from tasks.page import data_uri, page_environment

_PHOTOS = 5


def write_comparison(file: Path, comparison: Comparison, changes: Sequence[Change]) -> None:
    """Write the page, and the picture as a PNG beside it.

    Args:
        file: the page.
        comparison: what it tells of.
        changes: in what the two checkpoints were made otherwise.
    """
    picture = file.with_suffix(".png")
    draw_differences(picture, comparison.differences.classes)
    values = _values(comparison, changes) | {"picture": data_uri("png", picture.read_bytes())}
    file.write_text(page_environment("tasks.compare").get_template("report.html").render(values), encoding="utf-8")


def _values(comparison: Comparison, changes: Sequence[Change]) -> dict[str, Any]:
    differences, photos = comparison.differences, comparison.photos
    headline = {
        "mIoU": ("mean IoU of the classes", differences.mean_iou),
        "mAcc": ("mean accuracy of the classes", differences.mean_accuracy),
        "aAcc": ("share of all pixels that are right", differences.pixel_accuracy),
        "mBIoU": ("mean IoU of the classes’ boundaries", differences.mean_boundary_iou),
    }
    return {
        "a": comparison.a.manifest,
        "b": comparison.b.manifest,
        "verdict": verdict(differences).replace("-", "−"),
        "headline": headline,
        "reach": _reach([difference for _, difference in headline.values()]),
        "differences": differences,
        "distinguishable": sum(item.iou.distinguishable for item in differences.classes),
        "gained": [photo for photo in photos if photo.value > 0][:_PHOTOS],
        "lost": [photo for photo in reversed(photos) if photo.value < 0][:_PHOTOS],
        "changes": changes,
    }


def _reach(differences: Sequence[Difference]) -> float:
    """The end of the scale on which the intervals are drawn."""
    return max(max(abs(item.low), abs(item.high), abs(item.value)) for item in differences) or 1.0
