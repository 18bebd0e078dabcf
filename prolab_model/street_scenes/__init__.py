"""Street scenes that the project draws itself: a data set to try everything with, without a download.

A scene is a small world in metres (street, buildings, trees, cars, people, poles, signs) under a sun
and a weather, seen by a camera at eye height, with occlusion, shadows, haze and sensor noise. Colours
overlap between classes (grey sky, walls, road and cars; green walls and leaves), so that shape,
texture and place have to be learnt.

A seed gives the same bytes everywhere, because only operations are used whose results are fixed
by IEEE 754 or by integer arithmetic: + - * / sqrt floor and comparisons, one elementwise operation at
a time in single precision. No sin, exp or power, no matrix product, no sum over an axis, no drawing
library, nor Python's `sum`, which rounds otherwise since 3.12. Chance comes from Python's Mersenne
twister (whose `random()` is guaranteed to stay) and from an integer hash.
"""

from prolab_model.street_scenes.folder import draw_street_scenes
from prolab_model.street_scenes.scene import draw_scene

__all__ = ["draw_scene", "draw_street_scenes"]
