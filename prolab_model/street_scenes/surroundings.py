"""What lies still and large: sky, skyline, ground and the rows of buildings along the street."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from prolab_model.street_scenes.canvas import NEAREST, Bools, Canvas, Colour, Label, Light, Patch
from prolab_model.street_scenes.chance import Floats, clouds, grain

Material = Literal["brick", "plaster", "panels", "glass"]


@dataclass(frozen=True)
class Building:
    """A building that stands with its front along the street, from `near` to `far` at a distance of |x| to the side."""

    x: float
    near: float
    far: float
    height: float
    depth: float
    material: Material
    wall: Colour
    trim: Colour
    gable: bool
    shop: bool
    storey: float
    window_pitch: float
    window_width: float  # share of the pitch
    noise: int


@dataclass(frozen=True)
class Ground:
    """The street's cross-section: the road from `road[0]` to `road[1]`, then on each side verge, pavement and yard.

    Attributes:
        verges, pavements: widths in metres, left and right.
        slab: edge of the paving stones.
        crossing: depth of a zebra crossing, or None.
    """

    road: tuple[float, float]
    verges: tuple[float, float]
    pavements: tuple[float, float]
    yard: tuple[Label, Label]
    asphalt: Colour
    paving: Colour
    turf: Colour
    slab: float
    lane_marks: bool
    edge_lines: bool
    crossing: float | None
    noise: int


@dataclass(frozen=True)
class Shadow:
    """Shadow that a thing throws: a round one of `radius`, stretched from the foot at (x, z) up to `height` metres."""

    x: float
    z: float
    low: float
    height: float
    radius: float
    ragged: float = 0.0


def draw_sky(canvas: Canvas, noise: int) -> None:
    """Fill the canvas with sky: a gradient, clouds, and a glow around the sun."""
    camera, light = canvas.camera, canvas.light
    patch = Patch(slice(0, min(camera.height, int(camera.horizon) + 2)), slice(0, camera.width))
    elevation = np.maximum((np.float32(camera.horizon) - patch.v) / np.float32(camera.focal), 0)
    blend = elevation * 2 / (1 + elevation * 2)
    colours: Floats = _mix(light.skyline, light.zenith, blend[..., None] * np.float32(1.4))
    # A flat layer of clouds seen in perspective: small and dense towards the horizon.
    distance = 1 / (elevation + np.float32(0.12))
    across = (patch.u - np.float32(camera.centre)) / np.float32(camera.focal) * distance
    cover = clouds(across * 34 + noise, distance * 34 + noise * 3)
    fine = clouds(across * 150 + noise, distance * 150)
    density = _clamp(
        (cover * np.float32(0.75) + fine * np.float32(0.25) - np.float32(0.85 - light.cloudiness * 0.7)) * 5
    )
    underside = np.float32(0.2) + fine * np.float32(0.8)
    cloud = _mix(light.skyline, _brighten(light.sun, light.ambient), underside[..., None])
    colours = colours + (cloud - colours) * (density * np.float32(0.85))[..., None]
    sun_x, sun_y, sun_z = light.towards_sun
    if sun_z > 0.2:
        du = across / distance - np.float32(sun_x / sun_z)
        dv = elevation - np.float32(sun_y / sun_z)
        glow = np.float32(0.05) / (np.float32(0.05) + du * du + dv * dv)
        colours = colours + np.array(light.sun, np.float32) * (glow * np.float32(0.45))[..., None]
    canvas.paint(patch, np.ones(cover.shape, np.bool_), colours, Label.SKY)


def draw_skyline(canvas: Canvas, label: Label, albedo: Colour, height: float, depth: float, noise: int) -> None:
    """Draw what closes the view far away: a row of houses, or of trees."""
    camera = canvas.camera
    patch = canvas.patch(0, 0, camera.width, camera.horizon)
    if patch is None:
        return
    across = (patch.u - np.float32(camera.centre)) * np.float32(depth / camera.focal)
    up = np.float32(camera.eye) + (np.float32(camera.horizon) - patch.v) * np.float32(depth / camera.focal)
    if label == Label.TREE:
        rough: Floats = (
            clouds(across * 4 + noise, np.zeros_like(across)) + clouds(across * 20, np.zeros_like(across)) / 4
        )
        top = height * (np.float32(0.4) + rough)
        texture: Floats = np.float32(0.7) + clouds(across * 14, up * 14) * np.float32(0.5)
    else:
        house = np.floor((across + noise) / 9)
        top = height * (np.float32(0.4) + grain(house, noise))
        windows = (_part(across / 3) > 0.6) & (_part(up / 3) > 0.5)
        texture = np.where(windows, np.float32(0.6), np.float32(0.8) + grain(house, noise + 1) * np.float32(0.3))
    colours = canvas.light.shade(np.array(albedo, np.float32) * texture[..., None], 0.5, depth)
    canvas.paint(patch, up < top, colours, label)


def draw_ground(canvas: Canvas, ground: Ground, buildings: Sequence[Building], shadows: Sequence[Shadow]) -> None:
    """Draw road, pavements and grass up to the horizon, with everything's shadows on them."""
    camera, light = canvas.camera, canvas.light
    patch = canvas.patch(0, camera.horizon + 1, camera.width, camera.height)
    if patch is None:
        return
    z = np.float32(camera.focal * camera.eye) / (patch.v - np.float32(camera.horizon))
    x = (patch.u - np.float32(camera.centre)) * z / np.float32(camera.focal)
    near = 1 / (1 + z * z / 200)  # details fade where they are smaller than a pixel
    speckle = grain(x * 40 + ground.noise, z * 40) - np.float32(0.5)
    blotches = clouds(x * 12 + ground.noise, z * 12) - np.float32(0.5)
    sunlight = np.float32(light.towards_sun[1]) * (1 - _shaded(canvas, x, z, buildings, shadows))

    albedo = _road(ground, x, z, speckle * near, blotches)
    labels = np.full(x.shape, Label.ROAD, np.uint8)
    for label, mask, covering in _sides(ground, x, z, near, speckle, blotches):
        np.copyto(albedo, covering, where=mask[..., None])
        np.copyto(labels, np.uint8(label), where=mask)
    canvas.paint(patch, np.ones(x.shape, np.bool_), light.shade(albedo, sunlight, z), labels)


def _road(ground: Ground, x: Floats, z: Floats, speckle: Floats, blotches: Floats) -> Floats:
    left, right = ground.road
    tone = 1 + speckle * np.float32(0.5) + blotches * np.float32(0.35)
    ruts = np.abs(_part((x - np.float32(left)) / np.float32((right - left) / 4)) - np.float32(0.5))
    albedo = np.array(ground.asphalt, np.float32) * (tone * (np.float32(0.94) + ruts * np.float32(0.12)))[..., None]
    marks = np.zeros(x.shape, np.bool_)
    if ground.lane_marks:
        marks |= (np.abs(x - np.float32((left + right) / 2)) < 0.09) & (_part(z / 6) < 0.5)
    if ground.edge_lines:
        marks |= (np.abs(x - np.float32(left + 0.4)) < 0.07) | (np.abs(x - np.float32(right - 0.4)) < 0.07)
    if ground.crossing is not None:
        stripes = _part((x - np.float32(left)) / np.float32(1.1)) < 0.55
        marks = np.where(np.abs(z - np.float32(ground.crossing)) < 1.4, stripes, marks)
    worn = marks & (blotches + speckle < np.float32(0.38))
    return np.where(worn[..., None], np.float32(0.8) + speckle[..., None] * np.float32(0.2), albedo)


def _sides(
    ground: Ground, x: Floats, z: Floats, near: Floats, speckle: Floats, blotches: Floats
) -> list[tuple[Label, Bools, Floats]]:
    turf = _turf(ground, x, z, near, blotches)
    paving = _paving(ground, x, z, near, speckle)
    kerb = np.array((0.62, 0.61, 0.58), np.float32) * (1 + speckle * np.float32(0.2))[..., None]
    surfaces = []
    for side, sign in enumerate((-1, 1)):
        beyond = x * np.float32(sign) - np.float32(ground.road[side] * sign)  # metres outside the road's edge
        verge, pavement = ground.verges[side], ground.pavements[side]
        yard = turf if ground.yard[side] == Label.GRASS else paving
        surfaces += [
            (ground.yard[side], beyond > verge + pavement, yard),
            (Label.SIDEWALK, (beyond > verge) & (beyond <= verge + pavement), paving),
            (Label.GRASS, (beyond > 0.18) & (beyond <= verge), turf),
            (Label.SIDEWALK, (beyond > 0) & (beyond <= 0.18), kerb),
        ]
    return surfaces


def _turf(ground: Ground, x: Floats, z: Floats, near: Floats, blotches: Floats) -> Floats:
    blades = (grain(x * 30 + ground.noise, z * 14) - np.float32(0.5)) * (np.float32(0.3) + near)
    tufts = clouds(x * 60, z * 60 + ground.noise) - np.float32(0.5)
    albedo = np.array(ground.turf, np.float32) * (1 + blades * np.float32(0.55) + tufts * np.float32(0.6))[..., None]
    dry = _clamp(blotches * 2)[..., None]
    return albedo + (np.array((0.62, 0.55, 0.3), np.float32) - albedo) * dry * np.float32(0.45)


def _paving(ground: Ground, x: Floats, z: Floats, near: Floats, speckle: Floats) -> Floats:
    across, along = x / np.float32(ground.slab), z / np.float32(ground.slab * 1.5)
    along = along + np.floor(across) * np.float32(0.5)
    joint = (_part(across) < 0.06) | (_part(along) < 0.05)
    stone = grain(np.floor(across) + ground.noise, np.floor(along)) - np.float32(0.5)
    tone = 1 + (stone * np.float32(0.3) - joint * np.float32(0.3)) * near + speckle * near * np.float32(0.2)
    return np.array(ground.paving, np.float32) * tone[..., None]


def _shaded(canvas: Canvas, x: Floats, z: Floats, buildings: Sequence[Building], shadows: Sequence[Shadow]) -> Floats:
    """Share of the sun, 0..1, that is taken from each point of the ground."""
    sun_x, sun_y, sun_z = canvas.light.towards_sun
    dark = np.zeros(x.shape, np.bool_)
    for building in buildings:
        if building.x * sun_x > 0:
            way = (np.float32(building.x) - x) / np.float32(sun_x)  # along the ray to the sun until the wall
            met = z + way * np.float32(sun_z)
            hidden = (met >= building.near) & (met < building.far) & (way * np.float32(sun_y) < building.height)
            dark |= hidden & (way > 0)
    for shadow in shadows:
        _cast(shadow, canvas.light, x, z, dark)
    return dark * np.float32(0.92)


def _cast(shadow: Shadow, light: Light, x: Floats, z: Floats, dark: Bools) -> None:
    """Darken the points of the ground at (x (H, W), z (H, 1)) that lie in a shadow."""
    sun_x, sun_y, sun_z = light.towards_sun
    low, high = shadow.low / sun_y, shadow.height / sun_y
    start_x, start_z = shadow.x - sun_x * low, shadow.z - sun_z * low
    step_x, step_z = -sun_x * (high - low), -sun_z * (high - low)
    nearest, farthest = min(start_z, start_z + step_z) - shadow.radius, max(start_z, start_z + step_z) + shadow.radius
    touched = np.flatnonzero((z > nearest) & (z < farthest))
    if not len(touched):
        return
    rows = slice(int(touched[0]), int(touched[-1]) + 1)
    x, z = x[rows], z[rows]
    dx, dz = x - np.float32(start_x), z - np.float32(start_z)
    length = max(step_x * step_x + step_z * step_z, 1e-6)
    along = _clamp((dx * np.float32(step_x) + dz * np.float32(step_z)) / np.float32(length))
    dx, dz = dx - along * np.float32(step_x), dz - along * np.float32(step_z)
    edge = 1 - np.float32(shadow.ragged) * clouds(x * 30, z * 30) if shadow.ragged else 1
    dark[rows] |= dx * dx + dz * dz < np.float32(shadow.radius * shadow.radius) * edge


def draw_building(canvas: Canvas, building: Building) -> None:
    """Draw the wall that faces the camera, then the front along the street."""
    _draw_end_wall(canvas, building)
    _draw_front(canvas, building)


def _draw_end_wall(canvas: Canvas, building: Building) -> None:
    if building.near < NEAREST:
        return
    camera, sign = canvas.camera, 1 if building.x > 0 else -1
    corner, top = camera.project(building.x, building.height, building.near)
    outer, foot = camera.project(building.x + sign * building.depth, 0, building.near)
    patch = canvas.patch(min(corner, outer), top, max(corner, outer), foot)
    if patch is None:
        return
    scale = np.float32(building.near / camera.focal)
    along = np.abs(patch.u - np.float32(corner)) * scale
    up = np.float32(camera.eye) - (patch.v - np.float32(camera.horizon)) * scale
    inside = (
        (along < building.depth) & (up >= 0) & (up < building.height - (0.25 * building.depth if building.gable else 0))
    )
    sunlight = max(0.0, -canvas.light.towards_sun[2])
    colours = canvas.light.shade(_wall(building, along, up, building.near), sunlight, building.near)
    canvas.paint(patch, inside, colours, Label.BUILDING)


def _draw_front(canvas: Canvas, building: Building) -> None:
    camera, light = canvas.camera, canvas.light
    near = max(building.near, NEAREST)
    first, top = camera.project(building.x, building.height, near)
    last, _ = camera.project(building.x, 0, building.far)
    _, foot = camera.project(building.x, 0, near)
    patch = canvas.patch(min(first, last), top, max(first, last), foot)
    if patch is None:
        return
    offset = patch.u - np.float32(camera.centre)
    z = np.float32(camera.focal * building.x) / np.where(np.abs(offset) < 0.25, np.float32(0.25), offset)
    up = np.float32(camera.eye) - (patch.v - np.float32(camera.horizon)) * z / np.float32(camera.focal)
    along = z - np.float32(building.near)
    length = building.far - building.near
    roof: Floats | float = building.height
    if building.gable:
        roof = roof - np.abs(along - np.float32(length / 2)) * np.float32(0.5 * building.depth / length)
    inside = (z >= building.near) & (z < building.far) & (up >= 0) & (up < roof)
    albedo = _windows(building, _wall(building, along, up, z), along, up, z, light.zenith, light.dusk)
    cornice = up > roof - np.float32(0.35)
    albedo = np.where(cornice[..., None], np.array(building.trim, np.float32), albedo)
    side = -1 if building.x > 0 else 1
    sunlight = max(0.0, side * light.towards_sun[0])
    canvas.paint(patch, inside, light.shade(albedo, sunlight, z), Label.BUILDING)


def _wall(building: Building, along: Floats, up: Floats, depth: Floats | float) -> Floats:
    near = 1 / (1 + np.asarray(depth, np.float32) * np.float32(1 / 30))
    stains = np.float32(0.9) + clouds(along * 10 + building.noise, up * 10) * np.float32(0.2)
    if building.material == "brick":
        course = up / np.float32(0.28)
        brick = along / np.float32(0.7) + np.floor(course) * np.float32(0.5)
        mortar = (_part(course) < 0.2) | (_part(brick) < 0.09)
        tint = (grain(np.floor(brick), np.floor(course)) - np.float32(0.5)) * np.float32(0.45)
        tone = stains + (tint + mortar * np.float32(0.35)) * near
    elif building.material == "plaster":
        tone = stains + (grain(along * 20, up * 20) - np.float32(0.5)) * near * np.float32(0.12)
    else:
        joint = (_part(along / np.float32(1.8)) < 0.04) | (_part(up / np.float32(1.2)) < 0.06)
        tone = stains - joint * np.float32(0.25) * near
    return np.array(building.wall, np.float32) * tone[..., None]


def _windows(
    building: Building, wall: Floats, along: Floats, up: Floats, depth: Floats, sky: Colour, dusk: bool
) -> Floats:
    glass_front = building.material == "glass"
    ground_floor = np.float32(3.6 if building.shop else 0.5)
    across, storey = along / np.float32(building.window_pitch), (up - ground_floor) / np.float32(building.storey)
    side, level = np.abs(_part(across) - np.float32(0.5)) * 2, np.abs(_part(storey) - np.float32(0.55)) * 2
    width, height = (0.9, 0.82) if glass_front else (building.window_width, 0.58)
    upstairs = (storey >= 0) & (up < building.height - 0.9 - (0.25 * building.depth if building.gable else 0))
    frame = upstairs & (side < width + 0.1) & (level < height + 0.12)
    pane = upstairs & (side < width) & (level < height) & (glass_front | (side > 0.06))
    number = grain(np.floor(across) + building.noise, np.floor(storey) + building.noise)
    reflection = number * np.float32(0.7 if glass_front else 0.45) + np.float32(0.1)
    glass = _mix((0.1, 0.12, 0.15), sky, reflection[..., None])
    if dusk:
        glass = np.where((number > 0.6)[..., None], np.array((1.5, 1.15, 0.6), np.float32), glass)
    albedo = np.where(frame[..., None], np.array(building.trim, np.float32), wall)
    albedo = np.where(pane[..., None], glass, albedo)
    if building.shop:
        albedo = _shop_window(building, albedo, along, up, dusk)
    return albedo


def _shop_window(building: Building, albedo: Floats, along: Floats, up: Floats, dusk: bool) -> Floats:
    bay = along / np.float32(building.window_pitch * 1.7)
    goods = grain(np.floor(along * 3) + building.noise, np.floor(up * 3))
    inside = _mix(
        (0.12, 0.12, 0.14), (1.3, 1.1, 0.8) if dusk else (0.55, 0.5, 0.45), goods[..., None] * np.float32(0.6)
    )
    window = (up > 0.5) & (up < 2.6) & (np.abs(_part(bay) - np.float32(0.5)) < 0.43)
    albedo = np.where(window[..., None], inside, albedo)
    board = (up > 2.75) & (up < 3.4)
    lettering = board & (up > 2.95) & (up < 3.2) & (grain(along * 5 + building.noise, 7) > 0.45)
    albedo = np.where(board[..., None], np.array(building.trim, np.float32) * np.float32(0.6), albedo)
    return np.where(lettering[..., None], np.float32(0.9), albedo)


def _part(value: Floats) -> Floats:
    """The fraction of a number above the next lower whole one."""
    return np.asarray(value - np.floor(value), np.float32)


def _clamp(value: Floats) -> Floats:
    return np.minimum(np.maximum(value, np.float32(0)), np.float32(1))


def _mix(low: Colour, high: Colour, weight: Floats) -> Floats:
    first, second = np.array(low, np.float32), np.array(high, np.float32)
    return first + (second - first) * np.minimum(weight, np.float32(1))


def _brighten(sun: Colour, ambient: Colour) -> Colour:
    red, green, blue = (min(1.0, s * 0.6 + a) for s, a in zip(sun, ambient, strict=True))
    return red, green, blue
