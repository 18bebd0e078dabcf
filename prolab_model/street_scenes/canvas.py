"""The picture under work: a camera, light and weather, and the ways to put paint on it.

Coordinates: metres with x to the right, y up from the ground, z ahead; the camera stands at x = z = 0.
The canvas is drawn at twice the size of the picture and averaged at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from prolab_model.street_scenes.chance import Floats

Bools = npt.NDArray[np.bool_]
Colour = tuple[float, float, float]
Point = tuple[float, float]

NEAREST = 0.6
"""Depth in metres before which nothing is drawn."""


class Label(IntEnum):
    """The classes, in the order of `configs/datasets/street_scenes.py`."""

    SKY = 0
    BUILDING = 1
    ROAD = 2
    SIDEWALK = 3
    GRASS = 4
    TREE = 5
    CAR = 6
    PERSON = 7
    POLE = 8
    TRAFFIC_SIGN = 9


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks straight ahead; lengths on the canvas are in its pixels."""

    width: int
    height: int
    focal: float
    centre: float
    horizon: float
    eye: float  # metres above the ground

    def project(self, x: float, y: float, z: float) -> Point:
        """Column and row on the canvas of a point in metres."""
        scale = self.focal / max(z, NEAREST)
        return self.centre + x * scale, self.horizon + (self.eye - y) * scale


@dataclass(frozen=True)
class Light:
    """Sun, sky and haze; colours are 0..1 and `towards_sun` is a unit vector."""

    towards_sun: tuple[float, float, float]
    sun: Colour
    ambient: Colour
    zenith: Colour
    skyline: Colour
    cloudiness: float
    haze: float  # per metre
    dusk: bool

    def shade(self, albedo: Floats | Colour, sunlight: Floats | float, depth: Floats | float) -> Floats:
        """Colour of a surface, `sunlight` 0..1 being the share of the sun's light that it gets.

        Arrays broadcast over (H, W); `albedo` has the colour as its last axis.
        """
        lit = np.asarray(sunlight, np.float32)[..., None]
        colour = np.asarray(albedo, np.float32) * (_row(self.ambient) + _row(self.sun) * lit)
        thickness = np.asarray(depth, np.float32)[..., None] * np.float32(self.haze)
        mist = thickness / (1 + thickness)
        return np.asarray(colour + (_row(self.skyline) - colour) * mist, np.float32)


def _row(colour: Colour) -> Floats:
    return np.array(colour, np.float32)


@dataclass(frozen=True)
class Patch:
    """A rectangle of the canvas."""

    rows: slice
    columns: slice

    @property
    def u(self) -> Floats:
        """Columns (1, W) of the pixels' centres."""
        return np.arange(self.columns.start, self.columns.stop, dtype=np.float32)[None, :] + np.float32(0.5)

    @property
    def v(self) -> Floats:
        """Rows (H, 1) of the pixels' centres."""
        return np.arange(self.rows.start, self.rows.stop, dtype=np.float32)[:, None] + np.float32(0.5)


class Canvas:
    """Colours (H, W, 3) in 0..1 and labels (H, W), painted from far to near."""

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        self.colours = np.zeros((camera.height, camera.width, 3), np.float32)
        self.labels = np.zeros((camera.height, camera.width), np.uint8)

    def patch(self, left: float, top: float, right: float, bottom: float) -> Patch | None:
        """The pixels inside a rectangle, or None where it lies outside the canvas."""
        columns = slice(max(0, int(left)), min(self.camera.width, int(right) + 1))
        rows = slice(max(0, int(top)), min(self.camera.height, int(bottom) + 1))
        return Patch(rows, columns) if columns.start < columns.stop and rows.start < rows.stop else None

    def paint(self, patch: Patch, mask: Bools, colours: Floats, label: Label | npt.NDArray[np.uint8]) -> None:
        """Cover the masked pixels of a patch; `colours` broadcasts to (H, W, 3), `label` to (H, W)."""
        np.copyto(self.colours[patch.rows, patch.columns], colours, where=mask[..., None])
        np.copyto(self.labels[patch.rows, patch.columns], np.asarray(label, np.uint8), where=mask)

    def polygon(self, points: Sequence[Point], colour: Floats, label: Label) -> None:
        """Fill a convex polygon with one colour."""
        columns, rows = zip(*points, strict=True)
        patch = self.patch(min(columns), min(rows), max(columns), max(rows))
        if patch is not None:
            self.paint(patch, _inside(points, patch), colour, label)

    def finish(self) -> tuple[Floats, npt.NDArray[np.uint8]]:
        """Average 2 x 2 pixels; the label is the one that most of the four have."""
        colours, labels = self.colours, self.labels
        mean = (colours[::2, ::2] + colours[::2, 1::2] + colours[1::2, ::2] + colours[1::2, 1::2]) * np.float32(0.25)
        a, b, c, d = labels[::2, ::2], labels[::2, 1::2], labels[1::2, ::2], labels[1::2, 1::2]
        return mean, np.where((a == b) | (a == c) | (a == d), a, np.where((b == c) | (b == d), b, c))


def _inside(points: Sequence[Point], patch: Patch) -> Bools:
    edges = list(zip(points, [*points[1:], points[0]], strict=True))
    area = 0.0
    for (u0, v0), (u1, v1) in edges:
        area += u0 * v1 - u1 * v0
    turn = 1.0 if area >= 0 else -1.0
    u, v = patch.u, patch.v
    inside = np.ones((v.shape[0], u.shape[1]), np.bool_)
    for (u0, v0), (u1, v1) in edges:
        inside &= (v - np.float32(v0)) * np.float32(turn * (u1 - u0)) >= (u - np.float32(u0)) * np.float32(
            turn * (v1 - v0)
        )
    return inside
