"""What stands and moves in the street: trees, cars, people, poles and signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from prolab_model.street_scenes.canvas import NEAREST, Bools, Canvas, Colour, Label, Patch
from prolab_model.street_scenes.chance import Floats, clouds, grain
from prolab_model.street_scenes.surroundings import Shadow

Position = tuple[float, float, float]
Shape = Literal["ban", "warning", "order", "stop", "direction", "priority"]
SHAPES: tuple[Shape, ...] = ("ban", "warning", "order", "stop", "direction", "priority")
_DARK = (0.07, 0.07, 0.08)


class Thing(Protocol):
    """Something that stands on the ground; things are drawn from far to near by `z`."""

    @property
    def z(self) -> float:
        """Depth of its nearest part."""

    def draw(self, canvas: Canvas) -> None:
        """Paint it."""

    def shadows(self) -> list[Shadow]:
        """What it throws on the ground."""


@dataclass(frozen=True)
class _Upright:
    """A flat cut-out that faces the camera: metres to the side `x` (1, W) and above the ground `y` (H, 1)."""

    patch: Patch
    x: Floats
    y: Floats


def _upright(canvas: Canvas, x: float, z: float, half_width: float, height: float) -> _Upright | None:
    left, top = canvas.camera.project(x - half_width, height, z)
    right, foot = canvas.camera.project(x + half_width, 0, z)
    patch = canvas.patch(left, top, right, foot) if z > NEAREST else None
    if patch is None:
        return None
    scale = np.float32(z / canvas.camera.focal)
    middle = np.float32((left + right) / 2)
    return _Upright(patch, (patch.u - middle) * scale, (np.float32(foot) - patch.v) * scale)


def _capsule(area: _Upright, start: tuple[float, float], end: tuple[float, float], radius: float) -> Bools:
    """Points closer than `radius` to the line from `start` to `end` (metres within the cut-out)."""
    dx, dy = area.x - np.float32(start[0]), area.y - np.float32(start[1])
    step_x, step_y = end[0] - start[0], end[1] - start[1]
    length = max(step_x * step_x + step_y * step_y, 1e-9)
    along = np.minimum(np.maximum((dx * np.float32(step_x) + dy * np.float32(step_y)) / np.float32(length), 0), 1)
    dx, dy = dx - along * np.float32(step_x), dy - along * np.float32(step_y)
    return np.asarray(dx * dx + dy * dy < np.float32(radius * radius), np.bool_)


@dataclass(frozen=True)
class Tree:
    """A tree with a round crown made of `blobs` (x, y, radius in metres), or a conifer where there are none."""

    x: float
    z: float
    height: float
    spread: float
    trunk: float
    blobs: tuple[tuple[float, float, float], ...]
    leaf: Colour
    bark: Colour
    noise: int

    def draw(self, canvas: Canvas) -> None:
        """Paint trunk and crown."""
        area = _upright(canvas, self.x, self.z, self.spread * 1.5, self.height * 1.15)
        if area is None:
            return
        light = canvas.light
        side = np.float32(light.towards_sun[0])
        width = np.float32(self.trunk) * (np.float32(1.25) - area.y / np.float32(self.height))
        round_shade = np.float32(0.45) + side * area.x / np.float32(self.trunk) * np.float32(0.4)
        bark = (
            np.array(self.bark, np.float32)
            * (np.float32(0.8) + grain(area.x * 25, area.y * 6) * np.float32(0.4))[..., None]
        )
        standing = (np.abs(area.x) < width) & (area.y < self.height * 0.8)
        canvas.paint(area.patch, standing, light.shade(bark, np.maximum(round_shade, 0), self.z), Label.TREE)

        fine = clouds(area.x * 42 + self.noise, area.y * 42)
        leaves = grain(area.x * 26 + self.noise, area.y * 26)
        crown, relief = self._crown(area, fine, leaves)
        tone = np.float32(0.35) + fine * np.float32(0.85) + leaves * np.float32(0.4)
        albedo = np.array(self.leaf, np.float32) * tone[..., None]
        slope = area.x / np.float32(self.spread) * side + (area.y / np.float32(self.height) - np.float32(0.6))
        sunlight = np.minimum(np.maximum(np.float32(0.42) + slope * np.float32(0.75) + relief * np.float32(0.25), 0), 1)
        canvas.paint(area.patch, crown, light.shade(albedo, sunlight, self.z), Label.TREE)

    def _crown(self, area: _Upright, fine: Floats, leaves: Floats) -> tuple[Bools, Floats]:
        """Where the crown is, and how far it bulges towards the viewer (about 0..1)."""
        if not self.blobs:
            tip = (np.float32(self.height) - area.y) / np.float32(self.height)
            tier = tip * 5 - np.floor(tip * 5)
            reach = np.float32(self.spread) * tip * (np.float32(0.65) + tier * np.float32(0.45))
            bulge = 1 - np.abs(area.x) / np.maximum(reach, np.float32(0.01))
            return (bulge + (fine - np.float32(0.5)) > 0) & (area.y > self.height * 0.12), np.maximum(bulge, 0)
        bulge = np.full(fine.shape, -9, np.float32)
        for x, y, radius in self.blobs:
            dx, dy = area.x - np.float32(x), area.y - np.float32(y)
            bulge = np.maximum(bulge, 1 - (dx * dx + dy * dy) / np.float32(radius * radius))
        return bulge + (fine - np.float32(0.6)) * np.float32(2.2) + (leaves - np.float32(0.5)) * np.float32(
            0.5
        ) > 0, np.maximum(bulge, 0)

    def shadows(self) -> list[Shadow]:
        """A trunk's and a crown's."""
        trunk = Shadow(self.x, self.z, 0, self.height * 0.5, self.trunk)
        return [trunk, Shadow(self.x, self.z, self.height * 0.45, self.height * 0.9, self.spread * 0.75, ragged=0.9)]


@dataclass(frozen=True)
class Car:
    """A car, or a van, that stands along the street; `x` is its middle, `z` its near end."""

    x: float
    z: float
    width: float
    length: float
    deck: float  # height of bonnet and boot
    roof: float
    cabin: tuple[float, float]  # where the cabin's foot begins and ends, as shares of the length
    slant: float  # metres by which the cabin's roof is shorter, at each end
    coming: bool
    paint: Colour

    def draw(self, canvas: Canvas) -> None:
        """Paint the sides that show: deck, cabin, flank with wheels, end with lamps."""
        flank = self._flank()
        cabin = self._cabin_corners()
        self._draw_underside(canvas)
        self._quad(canvas, self._level(self.deck, 0, self.length, 0), self.paint, (0, 1, 0))
        if flank:
            side = 1 if flank == 1 else 0
            glass = [cabin["foot"][0][side], cabin["foot"][1][side], cabin["top"][1][side], cabin["top"][0][side]]
            self._quad(canvas, glass, self.paint, (flank, 0, 0))
            self._quad(canvas, _shrink(glass, 0.14), (0.13, 0.15, 0.18), (flank, 0, 0), gloss=0.5)
        window = [cabin["foot"][0][0], cabin["foot"][0][1], cabin["top"][0][1], cabin["top"][0][0]]
        self._quad(canvas, window, self.paint, (0, 0, -1))
        self._quad(canvas, _shrink(window, 0.12), (0.12, 0.14, 0.17), (0, 0, -1), gloss=0.6)
        self._quad(canvas, [*cabin["top"][0], *reversed(cabin["top"][1])], self.paint, (0, 1, 0))
        if flank:
            self._draw_flank(canvas, flank)
        self._draw_end(canvas)

    def _flank(self) -> int:
        """Which flank shows: 1 the right one, -1 the left one, 0 none."""
        if self.x - self.width / 2 > 0:
            return -1
        return 1 if self.x + self.width / 2 < 0 else 0

    def _level(self, y: float, start: float, end: float, inset: float) -> list[Position]:
        left, right = self.x - self.width / 2 + inset, self.x + self.width / 2 - inset
        near, far = self.z + start, self.z + end
        return [(left, y, near), (right, y, near), (right, y, far), (left, y, far)]

    def _cabin_corners(self) -> dict[str, list[list[Position]]]:
        start, end = (share * self.length for share in self.cabin)
        foot = self._level(self.deck, start, end, 0.04)
        top = self._level(self.roof, start + self.slant * 0.7, end - self.slant, 0.18)
        return {"foot": [foot[:2], [foot[3], foot[2]]], "top": [top[:2], [top[3], top[2]]]}

    def _draw_underside(self, canvas: Canvas) -> None:
        low, high = self._level(0.1, 0.05, self.length, 0.1), self._level(0.3, 0.05, self.length, 0.1)
        self._quad(canvas, [low[0], low[1], high[1], high[0]], _DARK, (0, 0, -1))
        near, far = (1, 2) if self._flank() == 1 else (0, 3)
        self._quad(canvas, [low[near], low[far], high[far], high[near]], _DARK, (0, 0, -1))

    def _draw_flank(self, canvas: Canvas, flank: int) -> None:
        x = self.x + flank * self.width / 2
        near, far = self.z, self.z + self.length
        body = [(x, 0.28, near), (x, 0.28, far), (x, self.deck, far), (x, self.deck, near)]
        self._quad(canvas, body, self.paint, (flank, 0, 0))
        sill = [(x, 0.28, near), (x, 0.28, far), (x, 0.42, far), (x, 0.42, near)]
        self._quad(canvas, sill, tuple(part * 0.6 for part in self.paint), (flank, 0, 0))
        for share in (0.2, 0.8):
            self._draw_wheel(canvas, x, self.z + share * self.length)

    def _draw_wheel(self, canvas: Canvas, x: float, z: float, radius: float = 0.33) -> None:
        near, far = max(z - radius, NEAREST), max(z + radius, NEAREST)
        camera = canvas.camera
        (first, foot), (last, top) = camera.project(x, 0, near), camera.project(x, 2 * radius, near)
        last, _ = camera.project(x, 0, far)
        patch = canvas.patch(min(first, last), top, max(first, last), foot)
        if patch is None:
            return
        offset = patch.u - np.float32(camera.centre)
        depth = np.float32(camera.focal * x) / np.where(np.abs(offset) < 0.25, np.float32(0.25), offset)
        along = depth - np.float32(z)
        up = np.float32(camera.eye - radius) - (patch.v - np.float32(camera.horizon)) * depth / np.float32(camera.focal)
        square = along * along + up * up
        hub = (square < radius * radius * 0.3)[..., None]
        albedo = np.where(hub, np.float32(0.55), np.array(_DARK, np.float32))
        canvas.paint(patch, square < radius * radius, canvas.light.shade(albedo, 0.3, z), Label.CAR)

    def _draw_end(self, canvas: Canvas) -> None:
        left, right, z = self.x - self.width / 2, self.x + self.width / 2, self.z

        def panel(x0: float, x1: float, y0: float, y1: float, colour: Colour, glow: float = 0.0) -> None:
            corners = [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]
            self._quad(canvas, corners, colour, (0, 0, -1), gloss=glow)

        panel(left, right, 0.3, self.deck, self.paint)
        panel(left, right, 0.26, 0.42, (0.16, 0.16, 0.17))
        lamp, strength = ((0.95, 0.93, 0.85), 0.6) if self.coming else ((0.75, 0.06, 0.05), 0.25)
        for x in (left + 0.06, right - 0.4):
            panel(x, x + 0.34, self.deck - 0.26, self.deck - 0.1, lamp, strength)
        if self.coming:
            panel(self.x - 0.45, self.x + 0.45, self.deck - 0.28, self.deck - 0.12, (0.1, 0.1, 0.11))
        panel(self.x - 0.26, self.x + 0.26, 0.46, 0.57, (0.9, 0.88, 0.7))
        for x in (left + 0.08, right - 0.3):
            panel(x, x + 0.22, 0.0, 0.28, _DARK)

    def _quad(
        self,
        canvas: Canvas,
        corners: list[Position],
        colour: tuple[float, ...],
        normal: tuple[int, int, int],
        gloss: float = 0.0,
    ) -> None:
        if min(corner[2] for corner in corners) < NEAREST:
            return
        light = canvas.light
        sun_x, sun_y, sun_z = light.towards_sun
        sunlight = max(0.0, normal[0] * sun_x + normal[1] * sun_y + normal[2] * sun_z)
        shaded = light.shade((colour[0], colour[1], colour[2]), 0.1 + 0.9 * sunlight, self.z)
        mirrored = shaded + np.array(light.zenith, np.float32) * np.float32(gloss * 0.3)
        canvas.polygon([canvas.camera.project(*corner) for corner in corners], mirrored, Label.CAR)

    def shadows(self) -> list[Shadow]:
        """Of the body, in three pieces along its length."""
        return [
            Shadow(self.x, self.z + share * self.length, 0, self.roof * 0.8, self.width / 2)
            for share in (0.2, 0.5, 0.8)
        ]


def _shrink(corners: list[Position], share: float) -> list[Position]:
    """Move the four corners of a surface towards its middle."""
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2), (x3, y3, z3) = corners
    middle = ((x0 + x1 + x2 + x3) / 4, (y0 + y1 + y2 + y3) / 4, (z0 + z1 + z2 + z3) / 4)
    return [
        (x + (middle[0] - x) * share, y + (middle[1] - y) * share, z + (middle[2] - z) * share) for x, y, z in corners
    ]


@dataclass(frozen=True)
class Person:
    """Someone who stands or walks; `stride` is half the distance of the feet in metres."""

    x: float
    z: float
    height: float
    stride: float
    coat: float  # how far down the coat reaches, as a share of the height
    top: Colour
    trousers: Colour
    skin: Colour
    hair: Colour

    def draw(self, canvas: Canvas) -> None:
        """Paint legs, arms, body and head."""
        size = self.height / 1.75
        area = _upright(canvas, self.x, self.z, 0.55 * size, self.height)
        if area is None:
            return
        area = _Upright(area.patch, area.x / np.float32(size), area.y / np.float32(size))
        side = np.float32(canvas.light.towards_sun[0])
        sunlight = np.minimum(np.maximum(np.float32(0.45) + side * area.x * np.float32(2.2), 0), 1)
        back, front = -self.stride, self.stride
        parts = [
            (self.trousers, _capsule(area, (-0.07, 0.85), (back, 0.08), 0.085)),
            (_DARK, _capsule(area, (back, 0.05), (back + 0.08, 0.05), 0.05)),
            (self.trousers, _capsule(area, (0.07, 0.85), (front, 0.08), 0.085)),
            (_DARK, _capsule(area, (front, 0.05), (front + 0.08, 0.05), 0.05)),
            (self.top, _capsule(area, (-0.2, 1.36), (-0.24 - self.stride * 0.5, 0.86), 0.06)),
            (self.skin, _capsule(area, (-0.24 - self.stride * 0.5, 0.8), (-0.24 - self.stride * 0.5, 0.82), 0.05)),
            (self.top, _capsule(area, (0.0, 1.32), (0.0, self.coat), 0.2)),
            (self.top, _capsule(area, (0.2, 1.36), (0.24 + self.stride * 0.5, 0.88), 0.06)),
            (self.skin, _capsule(area, (0.0, 1.5), (0.0, 1.58), 0.1)),
            (self.hair, _capsule(area, (-0.02, 1.64), (0.02, 1.64), 0.105)),
        ]
        for colour, mask in parts:
            shaded = canvas.light.shade(colour, np.broadcast_to(sunlight, mask.shape), self.z)
            canvas.paint(area.patch, mask, shaded, Label.PERSON)

    def shadows(self) -> list[Shadow]:
        """A thin one."""
        return [Shadow(self.x, self.z, 0, self.height, 0.2)]


@dataclass(frozen=True)
class Pole:
    """A post; with an arm to the side and a lamp at its end where `arm` is not 0 metres."""

    x: float
    z: float
    height: float
    radius: float
    arm: float
    colour: Colour

    def draw(self, canvas: Canvas) -> None:
        """Paint post, arm and lamp."""
        area = _upright(canvas, self.x, self.z, max(abs(self.arm), self.radius) + 0.5, self.height + 0.4)
        if area is None:
            return
        post = (
            np.abs(area.x) < np.float32(self.radius) * (np.float32(1.4) - area.y / np.float32(2.5 * self.height))
        ) & (area.y < self.height)
        if self.arm:
            lamp = (self.arm, self.height + 0.25)
            post |= _capsule(area, (0, self.height - 0.05), lamp, self.radius * 0.7)
            post |= _capsule(area, lamp, (self.arm * 1.25, self.height + 0.25), 0.11)
        side = np.float32(canvas.light.towards_sun[0])
        sunlight = np.float32(0.4) + side * area.x / np.float32(self.radius) * np.float32(0.35)
        sunlight = np.broadcast_to(np.minimum(np.maximum(sunlight, 0), 1), post.shape)
        canvas.paint(area.patch, post, canvas.light.shade(self.colour, sunlight, self.z), Label.POLE)

    def shadows(self) -> list[Shadow]:
        """A line."""
        return [Shadow(self.x, self.z, 0, self.height, self.radius * 1.2)]


@dataclass(frozen=True)
class Sign:
    """A traffic sign at `height` metres on a thin post; `size` is half its width."""

    x: float
    z: float
    height: float
    size: float
    shape: Shape

    def draw(self, canvas: Canvas) -> None:
        """Paint the post, then the plate with its border and symbol."""
        Pole(self.x, self.z, self.height, 0.04, 0, (0.55, 0.56, 0.58)).draw(canvas)
        area = _upright(canvas, self.x, self.z, self.size * 1.7, self.height + self.size * 1.1)
        if area is None:
            return
        x, y = area.x / np.float32(self.size), (area.y - np.float32(self.height)) / np.float32(self.size)
        sunlight = max(0.25, -canvas.light.towards_sun[2])
        for colour, mask in _plate(self.shape, x, y):
            canvas.paint(area.patch, mask, canvas.light.shade(colour, sunlight, self.z), Label.TRAFFIC_SIGN)

    def shadows(self) -> list[Shadow]:
        """The post's and the plate's."""
        post = Shadow(self.x, self.z, 0, self.height, 0.05)
        return [post, Shadow(self.x, self.z, self.height - self.size, self.height + self.size, self.size * 0.5)]


_RED, _WHITE, _BLUE, _BLACK = (0.78, 0.07, 0.08), (0.92, 0.92, 0.9), (0.08, 0.25, 0.65), (0.06, 0.06, 0.07)
_GREEN, _YELLOW = (0.05, 0.4, 0.24), (0.95, 0.75, 0.08)


def _plate(shape: Shape, x: Floats, y: Floats) -> list[tuple[Colour, Bools]]:
    """Layers of a plate that reaches from -1 to 1: x (1, W), y (H, 1)."""
    round_, square = x * x + y * y, np.maximum(np.abs(x), np.abs(y))
    bar = (np.abs(x) < 0.5) & (np.abs(y) < 0.16)
    if shape == "ban":
        return [(_RED, round_ < 1), (_WHITE, round_ < 0.56), (_BLACK, bar)]
    if shape == "order":
        shaft = ((np.abs(x) < 0.14) & (np.abs(y) < 0.6)) | ((np.abs(x) + np.abs(y - np.float32(0.35))) < 0.42)
        return [(_WHITE, round_ < 1), (_BLUE, round_ < 0.85), (_WHITE, shaft)]
    if shape == "warning":
        slope = np.maximum(np.abs(x) * np.float32(1.75) + y, -y * np.float32(1.1))
        mark = (np.abs(x) < 0.1) & (y > -0.5) & (y < 0.25)
        return [(_RED, slope < 0.95), (_WHITE, slope < 0.55), (_BLACK, mark)]
    if shape == "stop":
        octagon = np.maximum(square, (np.abs(x) + np.abs(y)) * np.float32(0.71))
        letters = (np.abs(y) < 0.24) & (np.abs(x) < 0.68) & (np.abs(x * 3 - np.floor(x * 3) - np.float32(0.5)) > 0.18)
        return [(_WHITE, octagon < 1), (_RED, octagon < 0.9), (_WHITE, letters)]
    if shape == "priority":
        diamond = np.abs(x) + np.abs(y)
        return [(_WHITE, diamond < 1.1), (_YELLOW, diamond < 0.72)]
    board = np.maximum(np.abs(x) / np.float32(1.6), np.abs(y) / np.float32(0.85))
    lines = (np.abs(x + np.float32(0.2)) < 0.95) & (np.abs(np.abs(y) - np.float32(0.34)) < 0.13)
    return [(_WHITE, board < 1), (_GREEN, board < 0.92), (_WHITE, lines)]
