"""Class names as a person would say them; the names in the data stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

# Names of well-known label lists that no rule brings into the form of everyday English.
_WORDS = {
    "tvmonitor": "TV monitor",
    "pottedplant": "potted plant",
    "diningtable": "dining table",
    "playingfield": "playing field",
    "waterdrops": "water drops",
    "window-blind": "window blind",
    "crt screen": "CRT screen",
    "tv": "TV",
    "solid-other": "solid object",
    "structural-other": "structural part of a building",
}
_OTHER = "-other"
_SUFFIXES = (_OTHER, "-stuff")
# "wall-brick" is a brick wall, "floor-wood" a wooden floor; other hyphens ("t-shirt") belong to the word.
_SURFACES = ("ceiling", "floor", "wall")
_ADJECTIVES = {"panel": "panelled", "tile": "tiled", "wood": "wooden"}


def spoken_names(class_names: Sequence[str]) -> dict[str, str]:
    """The spoken name of every class; `building-other` is an "other building" only beside a `building`."""
    spoken = {name: spoken_name(name) for name in class_names}
    counts = Counter(said.casefold() for said in spoken.values())
    return {
        name: f"other {said}" if counts[said.casefold()] > 1 and name.strip().endswith(_OTHER) else said
        for name, said in spoken.items()
    }


def spoken_name(class_name: str) -> str:
    """`sign_symbol` is "sign symbol", `bed ` "bed", `pottedplant` "potted plant", `wall-brick` "brick wall"."""
    name = " ".join(class_name.replace("_", " ").split())
    if name.casefold() in _WORDS:
        return _WORDS[name.casefold()]
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    surface, _, material = name.partition("-")
    if surface in _SURFACES and material:
        return f"{_ADJECTIVES.get(material, material)} {surface}"
    return name
