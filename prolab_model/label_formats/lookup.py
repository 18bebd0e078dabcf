"""Replaces the values of a label map by those of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from prolab_model.label_formats import AnnotationError

_PLACES = 1 << 16
_SHOWN = 5


def look_up(label: npt.NDArray[np.integer[Any]], table: Mapping[int, int]) -> npt.NDArray[np.uint8]:
    """Replace every value by the one that `table` has for it.

    Args:
        label: (H, W).
        table: new value, 0 to 255, of every value that may occur, which is less than 65,535.

    Returns:
        (H, W).

    Raises:
        AnnotationError: naming the values that are not in the table.
    """
    places = label
    if label.dtype not in (np.uint8, np.uint16):
        # What lies outside the table falls on its last place, which no data set's values reach.
        places = np.where((label < 0) | (label >= _PLACES), _PLACES - 1, label)
    known = np.zeros(_PLACES, bool)
    known[list(table)] = True
    if not (found := known[places]).all():
        unknown = np.unique(label[~found])
        listing = ", ".join(map(str, unknown[:_SHOWN])) + (", …" if len(unknown) > _SHOWN else "")
        raise AnnotationError(f"unknown label {listing}")
    values = np.zeros(_PLACES, np.uint8)
    values[list(table)] = list(table.values())
    return np.asarray(values[places], np.uint8)
