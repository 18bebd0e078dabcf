"""Chance that is the same everywhere: dice for single numbers, tiles of noise for textures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
T = TypeVar("T")

_TILE = 512


class Dice:
    """Random numbers from a seed; only `random.Random.random` is used, whose sequence Python guarantees."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def real(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return low + (high - low) * self._random.random()

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def choice(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random.random() < probability

    def vary(self, colour: Sequence[float], spread: float) -> tuple[float, float, float]:
        """A colour near `colour`: brighter or darker by `spread`, and a little off in hue."""
        brightness = self.real(1 - spread, 1 + spread)
        red, green, blue = (part * brightness * self.real(1 - spread / 4, 1 + spread / 4) for part in colour)
        return red, green, blue


def grain(x: Floats | int, y: Floats | int) -> Floats:
    """White noise in 0..1: one independent value for each unit square."""
    return _look_up(_grain_tile(), x, y)


def clouds(x: Floats | int, y: Floats | int) -> Floats:
    """Smooth noise in 0..1 with details of 4 to 64 units."""
    return _look_up(_cloud_tile(), x, y)


def _look_up(tile: Floats, x: Floats | int, y: Floats | int) -> Floats:
    column = np.floor(x).astype(np.int32) & (_TILE - 1)
    row = np.floor(y).astype(np.int32) & (_TILE - 1)
    return np.asarray(tile[row, column], np.float32)


def _hash(seed: int, size: int) -> Floats:
    """(size, size) values in 0..1 from an integer hash of their position."""
    row, column = np.indices((size, size), dtype=np.uint32)
    bits = row * np.uint32(0x9E3779B1) ^ column * np.uint32(0x85EBCA77) ^ np.uint32(seed * 0x27D4EB2F & 0xFFFFFFFF)
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39), (15, 1)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    return (bits >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


@cache
def _grain_tile() -> Floats:
    return _hash(1, _TILE)


@cache
def _cloud_tile() -> Floats:
    total = np.zeros((_TILE, _TILE), np.float32)
    for octave, cells in enumerate((8, 16, 32, 64, 128)):
        total += _smooth(_hash(2 + octave, cells)) / np.float32(1 << octave)
    return np.asarray((total - total.min()) / (total.max() - total.min()), np.float32)


def _smooth(lattice: Floats) -> Floats:
    """Enlarge a periodic lattice to a tile, smoothly."""
    cells = len(lattice)
    position = np.arange(_TILE, dtype=np.float32) * np.float32(cells / _TILE)
    low = position.astype(np.int32)
    high = (low + 1) % cells
    fraction = position - low.astype(np.float32)
    weight = fraction * fraction * (3 - 2 * fraction)
    rows = lattice[low] + (lattice[high] - lattice[low]) * weight[:, None]
    return np.asarray(rows[:, low] + (rows[:, high] - rows[:, low]) * weight, np.float32)
