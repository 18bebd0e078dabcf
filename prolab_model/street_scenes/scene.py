"""Composes a scene: weather, street, buildings and all that stands in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prolab_model.street_scenes.canvas import Camera, Canvas, Colour, Label, Light
from prolab_model.street_scenes.chance import Dice, Floats, grain
from prolab_model.street_scenes.objects import SHAPES, Car, Person, Pole, Sign, Thing, Tree
from prolab_model.street_scenes.surroundings import (
    Building,
    Ground,
    Material,
    draw_building,
    draw_ground,
    draw_sky,
    draw_skyline,
)


@dataclass(frozen=True)
class _Weather:
    sun: Colour
    ambient: Colour
    zenith: Colour
    skyline: Colour
    cloudiness: tuple[float, float]
    haze: float
    elevation: tuple[float, float] = (0.6, 1.5)
    dusk: bool = False


_CLEAR = _Weather((0.92, 0.86, 0.72), (0.52, 0.56, 0.66), (0.24, 0.46, 0.82), (0.72, 0.83, 0.93), (0.1, 0.45), 0.0018)
_CLOUDY = _Weather((0.72, 0.7, 0.63), (0.6, 0.62, 0.66), (0.36, 0.52, 0.76), (0.8, 0.84, 0.88), (0.5, 0.7), 0.003)
_OVERCAST = _Weather((0.14, 0.14, 0.14), (0.9, 0.92, 0.95), (0.6, 0.63, 0.67), (0.8, 0.81, 0.82), (0.6, 0.9), 0.005)
_HAZY = _Weather((0.3, 0.29, 0.27), (0.8, 0.81, 0.82), (0.7, 0.74, 0.78), (0.84, 0.85, 0.85), (0.3, 0.3), 0.014)
_EVENING = _Weather(
    (1.0, 0.62, 0.32),
    (0.5, 0.46, 0.56),
    (0.3, 0.34, 0.58),
    (0.95, 0.66, 0.42),
    (0.2, 0.55),
    0.003,
    (0.3, 0.5),
    dusk=True,
)
_WEATHERS = (_CLEAR, _CLEAR, _CLOUDY, _CLOUDY, _OVERCAST, _EVENING, _HAZY)

_WALLS: dict[Material, tuple[Colour, ...]] = {
    "brick": ((0.55, 0.28, 0.2), (0.62, 0.42, 0.28), (0.45, 0.27, 0.24), (0.7, 0.58, 0.42)),
    "plaster": (
        (0.85, 0.8, 0.68),
        (0.8, 0.62, 0.45),
        (0.62, 0.72, 0.6),
        (0.6, 0.68, 0.78),
        (0.85, 0.7, 0.68),
        (0.75, 0.75, 0.74),
    ),
    "panels": ((0.55, 0.55, 0.54), (0.68, 0.66, 0.62), (0.45, 0.47, 0.5)),
    "glass": ((0.35, 0.4, 0.45), (0.5, 0.52, 0.55), (0.25, 0.28, 0.32)),
}
_TRIMS = ((0.9, 0.89, 0.85), (0.3, 0.26, 0.24), (0.75, 0.72, 0.65), (0.25, 0.35, 0.32), (0.45, 0.15, 0.14))
_PAINTS = (
    (0.85, 0.86, 0.87),
    (0.55, 0.57, 0.6),
    (0.12, 0.12, 0.14),
    (0.32, 0.34, 0.37),
    (0.6, 0.08, 0.08),
    (0.12, 0.25, 0.5),
    (0.2, 0.38, 0.26),
    (0.7, 0.6, 0.35),
    (0.35, 0.55, 0.75),
)
_CLOTHES = (
    (0.12, 0.14, 0.22),
    (0.65, 0.12, 0.12),
    (0.8, 0.78, 0.74),
    (0.25, 0.4, 0.3),
    (0.3, 0.32, 0.36),
    (0.85, 0.65, 0.15),
    (0.2, 0.35, 0.6),
    (0.5, 0.35, 0.25),
)
_LEAVES = (
    (0.3, 0.44, 0.16),
    (0.22, 0.38, 0.15),
    (0.42, 0.5, 0.18),
    (0.2, 0.33, 0.2),
    (0.62, 0.4, 0.12),
    (0.55, 0.26, 0.12),
)
_FAR = 90.0


def draw_scene(seed: int, size: tuple[int, int] = (256, 192)) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Draw the scene of a seed, the same on every machine.

    Args:
        seed: any whole number that is not negative.
        size: width and height in pixels.

    Returns:
        The picture (H, W, 3) RGB and the classes of its pixels (H, W), numbered as in `Label`.
    """
    dice = Dice(seed)
    canvas = Canvas(_camera(dice, size), _light(dice))
    noise = dice.integer(0, 500)
    ground = _ground(dice)
    buildings = [*_row_of_buildings(dice, ground, 0), *_row_of_buildings(dice, ground, 1)]
    things = _things(dice, ground)

    draw_sky(canvas, noise)
    label, albedo = dice.choice(((Label.BUILDING, (0.6, 0.56, 0.5)), (Label.TREE, (0.28, 0.36, 0.2))))
    draw_skyline(canvas, label, albedo, dice.real(7, 16), _FAR * 1.3, noise)
    draw_ground(canvas, ground, buildings, [shadow for thing in things for shadow in thing.shadows()])
    for building in sorted(buildings, key=lambda building: -building.far):
        draw_building(canvas, building)
    for thing in sorted(things, key=lambda thing: -thing.z):
        thing.draw(canvas)
    colours, labels = canvas.finish()
    return _develop(dice, colours), labels


def _camera(dice: Dice, size: tuple[int, int]) -> Camera:
    width, height = 2 * size[0], 2 * size[1]
    return Camera(
        width=width,
        height=height,
        focal=width * dice.real(0.72, 0.95),
        centre=width * dice.real(0.36, 0.64),
        horizon=height * dice.real(0.42, 0.56),
        eye=dice.real(1.45, 2.1),
    )


def _light(dice: Dice) -> Light:
    weather = dice.choice(_WEATHERS)
    east, up, north = dice.choice((-1, 1)) * dice.real(0.4, 1.0), dice.real(*weather.elevation), dice.real(-0.9, 0.6)
    length = math.sqrt(east * east + up * up + north * north)
    return Light(
        towards_sun=(east / length, up / length, north / length),
        sun=dice.vary(weather.sun, 0.1),
        ambient=dice.vary(weather.ambient, 0.08),
        zenith=dice.vary(weather.zenith, 0.08),
        skyline=dice.vary(weather.skyline, 0.04),
        cloudiness=dice.real(*weather.cloudiness),
        haze=weather.haze,
        dusk=weather.dusk,
    )


def _ground(dice: Dice) -> Ground:
    width, position = dice.real(4.8, 8.5), dice.real(0.2, 0.8)
    return Ground(
        road=(-width * position, width * (1 - position)),
        verges=(_verge(dice), _verge(dice)),
        pavements=(dice.real(2.0, 4.2), dice.real(2.0, 4.2)),
        yard=(_yard(dice), _yard(dice)),
        asphalt=dice.vary((0.4, 0.4, 0.41), 0.25),
        paving=dice.vary(dice.choice(((0.6, 0.59, 0.57), (0.66, 0.6, 0.5), (0.58, 0.42, 0.36))), 0.1),
        turf=dice.vary((0.34, 0.48, 0.18), 0.15),
        slab=dice.real(0.5, 1.0),
        lane_marks=dice.chance(0.75),
        edge_lines=dice.chance(0.3),
        crossing=dice.real(6, 16) if dice.chance(0.25) else None,
        noise=dice.integer(0, 500),
    )


def _verge(dice: Dice) -> float:
    return dice.real(1.5, 3.0) if dice.chance(0.35) else 0.0


def _yard(dice: Dice) -> Label:
    return Label.GRASS if dice.chance(0.6) else Label.SIDEWALK


def _edge(ground: Ground, side: int) -> float:
    """Metres to the side where the pavement ends; negative on the left."""
    return ground.road[side] + (-1, 1)[side] * (ground.verges[side] + ground.pavements[side])


def _is_park(ground: Ground, side: int) -> bool:
    """A pavement without a verge next to grass: no buildings there, but trees."""
    return ground.yard[side] == Label.GRASS and ground.verges[side] == 0


def _row_of_buildings(dice: Dice, ground: Ground, side: int) -> list[Building]:
    sign = (-1, 1)[side]
    setback = dice.real(14, 22) if _is_park(ground, side) else dice.real(0, 3.5)
    gaps = 0.75 if _is_park(ground, side) else 0.25
    tall = dice.chance(0.35)
    row = []
    near = dice.real(-6, 2)
    while near < _FAR:
        length = dice.real(7, 16)
        if not dice.chance(gaps):
            row.append(_building(dice, _edge(ground, side) + sign * setback, near, near + length, tall))
        near += length
    return row


def _building(dice: Dice, x: float, near: float, far: float, tall: bool) -> Building:
    materials: tuple[Material, ...] = (
        ("glass", "panels", "brick") if tall else ("brick", "plaster", "plaster", "panels")
    )
    material = dice.choice(materials)
    return Building(
        x=x,
        near=near,
        far=far,
        height=dice.real(12, 26) if tall else dice.real(6, 12),
        depth=dice.real(8, 12),
        material=material,
        wall=dice.vary(dice.choice(_WALLS[material]), 0.12),
        trim=dice.vary(dice.choice(_TRIMS), 0.1),
        gable=not tall and dice.chance(0.35),
        shop=dice.chance(0.45),
        storey=dice.real(2.8, 3.5),
        window_pitch=dice.real(1.8, 3.2),
        window_width=dice.real(0.4, 0.65),
        noise=dice.integer(0, 500),
    )


def _things(dice: Dice, ground: Ground) -> list[Thing]:
    things: list[Thing] = []
    for side in (0, 1):
        things += _trees(dice, ground, side)
        things += _street_furniture(dice, ground, side)
        things += _people(dice, ground, side)
    return things + _cars(dice, ground)


def _trees(dice: Dice, ground: Ground, side: int) -> list[Thing]:
    sign = (-1, 1)[side]
    things: list[Thing] = []
    if _is_park(ground, side):
        for _ in range(dice.integer(5, 10)):
            things.append(_tree(dice, _edge(ground, side) + sign * dice.real(2, 13), dice.real(7, 60)))
    elif dice.chance(0.6):
        verge = ground.verges[side]
        x = ground.road[side] + sign * (verge / 2 if verge else 0.7)
        step, z = dice.real(8, 16), dice.real(5, 14)
        while z < _FAR * 0.7:
            things.append(_tree(dice, x, z, street=True))
            z += step * dice.real(0.8, 1.2)
    return things


def _tree(dice: Dice, x: float, z: float, street: bool = False) -> Tree:
    height = dice.real(4.5, 7) if street else dice.real(4, 11)
    conifer = not street and dice.chance(0.25)
    spread = height * (dice.real(0.18, 0.26) if conifer else dice.real(0.28, 0.42))
    low = height * dice.real(0.42, 0.55)
    blobs = tuple(
        (
            dice.real(-0.5, 0.5) * spread,
            dice.real(low + 0.2 * spread, height - 0.4 * spread),
            dice.real(0.5, 0.75) * spread,
        )
        for _ in range(dice.integer(5, 8))
    )
    return Tree(
        x=x,
        z=z,
        height=height,
        spread=spread,
        trunk=dice.real(0.1, 0.22),
        blobs=() if conifer else blobs,
        leaf=dice.vary((0.14, 0.27, 0.17) if conifer else dice.choice(_LEAVES), 0.15),
        bark=dice.vary((0.34, 0.27, 0.2), 0.2),
        noise=dice.integer(0, 500),
    )


def _street_furniture(dice: Dice, ground: Ground, side: int) -> list[Thing]:
    sign = (-1, 1)[side]
    kerb = ground.road[side] + sign * 0.45
    things: list[Thing] = []
    if dice.chance(0.7):
        height, arm = dice.real(5, 8), -sign * dice.real(0.8, 1.8)
        colour = dice.vary(dice.choice(((0.35, 0.37, 0.38), (0.18, 0.22, 0.2), (0.5, 0.5, 0.5))), 0.15)
        step, z = dice.real(14, 24), dice.real(6, 16)
        while z < 75:
            things.append(Pole(kerb, z, height, 0.09, arm, colour))
            z += step
    if dice.chance(0.25):
        colour = dice.vary((0.2, 0.2, 0.21), 0.2)
        start = dice.real(4, 8)
        things += [Pole(kerb, start + 1.8 * index, 0.95, 0.09, 0, colour) for index in range(dice.integer(3, 7))]
    for _ in range(dice.choice((0, 1, 1, 2))):
        shape = dice.choice(SHAPES)
        size = dice.real(0.55, 0.8) if shape == "direction" else dice.real(0.38, 0.55)
        things.append(Sign(kerb + sign * 0.3, dice.real(4.5, 17), dice.real(2.1, 2.9), size, shape))
    return things


def _people(dice: Dice, ground: Ground, side: int) -> list[Thing]:
    sign = (-1, 1)[side]
    inner = ground.road[side] + sign * (ground.verges[side] + 0.4)
    people: list[Thing] = [
        _person(
            dice,
            dice.real(inner, _edge(ground, side) - sign * 0.2),
            dice.real(3.5, 7) if index < 1 else dice.real(5, 22),
        )
        for index in range(dice.choice((0, 1, 2, 3, 4)))
    ]
    if ground.crossing is not None and dice.chance(0.5):
        people.append(_person(dice, dice.real(*ground.road), ground.crossing))
    return people


def _person(dice: Dice, x: float, z: float) -> Person:
    return Person(
        x=x,
        z=z,
        height=dice.real(1.25, 1.35) if dice.chance(0.12) else dice.real(1.55, 1.9),
        stride=dice.real(0.07, 0.28),
        coat=dice.choice((0.95, 0.95, 0.7, 0.6)),
        top=dice.vary(dice.choice(_CLOTHES), 0.15),
        trousers=dice.vary(dice.choice(_CLOTHES), 0.15),
        skin=dice.vary(dice.choice(((0.85, 0.65, 0.53), (0.6, 0.42, 0.3), (0.36, 0.25, 0.19))), 0.08),
        hair=dice.vary(dice.choice(((0.12, 0.09, 0.07), (0.4, 0.27, 0.15), (0.6, 0.58, 0.55))), 0.15),
    )


def _cars(dice: Dice, ground: Ground) -> list[Thing]:
    things: list[Thing] = []
    left, right = ground.road
    for side, x in ((0, left + 1.1), (1, right - 1.1)):
        if dice.chance(0.55):
            z = dice.real(3.5, 12)
            while z < 60:
                if dice.chance(0.75):
                    things.append(_car(dice, x, z, coming=dice.chance(0.3)))
                z += dice.real(5.4, 7)
        elif dice.chance(0.6):
            lane = (left + right) / 2 + (-1, 1)[side] * (right - left) / 4
            things.append(_car(dice, lane, dice.real(7, 35), coming=side == 0))
    return things


def _car(dice: Dice, x: float, z: float, coming: bool) -> Car:
    paint = dice.vary(dice.choice(_PAINTS), 0.1)
    if dice.chance(0.2):
        roof = dice.real(1.9, 2.3)
        return Car(x, z, 1.95, dice.real(4.6, 5.2), 1.05, roof, (0.0, 0.82), 0.12, coming, paint)
    cabin = (dice.real(0.05, 0.16), dice.real(0.68, 0.75))
    return Car(x, z, dice.real(1.7, 1.85), dice.real(3.9, 4.6), 0.9, dice.real(1.4, 1.6), cabin, 0.55, coming, paint)


def _develop(dice: Dice, colours: Floats) -> npt.NDArray[np.uint8]:
    """What lens and sensor add: exposure, darker corners and noise."""
    height, width, _ = colours.shape
    row, column = np.indices((height, width), dtype=np.float32)
    across, down = (column * 2 - width) / np.float32(width), (row * 2 - height) / np.float32(height)
    exposure = np.float32(dice.real(0.9, 1.12)) * (1 - (across * across + down * down) * np.float32(0.09))
    amount, shift = np.float32(dice.real(0.008, 0.028)), dice.integer(0, 500)
    noise = [
        grain(column + shift + 31 * channel, row) + grain(column + shift, row + 71 * channel + 13) - 1
        for channel in range(3)
    ]
    exposed = colours * exposure[..., None] + np.stack(noise, axis=-1) * amount
    return np.asarray(np.minimum(np.maximum(exposed, 0), 1) * 255 + np.float32(0.5), np.float32).astype(np.uint8)
