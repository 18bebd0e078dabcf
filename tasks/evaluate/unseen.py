"""Figures of a network that knows classes which it was not trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SeenAndUnseen:
    """Mean IoU, between 0 and 1, of the classes that the network was trained on, and of the others.

    Attributes:
        seen: of the former.
        unseen: of the latter.
    """

    seen: float
    unseen: float

    @property
    def harmonic(self) -> float:
        """The harmonic mean of both, which is high only where both are (spec 3.5; Xian et al., SPNet, CVPR 2019)."""
        total = self.seen + self.unseen
        return 2 * self.seen * self.unseen / total if total else 0.0


def seen_and_unseen(
    iou: npt.NDArray[np.floating[Any]], classes: Sequence[str], unseen: Collection[str]
) -> SeenAndUnseen | None:
    """The means of the two kinds of classes; None unless both occur.

    Args:
        iou: of each class (N,), NaN where a class occurs in neither labels nor predictions.
        classes: their names.
        unseen: those that the network was not trained on.
    """
    new = np.isin(classes, list(unseen))
    counted = ~np.isnan(iou)
    if not (new & counted).any() or not (~new & counted).any():
        return None
    return SeenAndUnseen(float(iou[~new & counted].mean()), float(iou[new & counted].mean()))
