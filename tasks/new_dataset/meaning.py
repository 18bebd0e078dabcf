"""What the values in the masks mean: which is which class, which is left out, which nobody has named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prolab_model.dataset_config import IGNORED, Colour, default_palette
from tasks.errors import InputError
from tasks.new_dataset.class_list import FORMATS, Entry
from tasks.new_dataset.masks import Value

_SHOWN = 10


@dataclass(frozen=True)
class Occurrence:
    """How often a value occurs, and in which mask first."""

    pixels: int
    images: int
    example: str


@dataclass(frozen=True)
class Meaning:
    """How masks are to be read.

    Attributes:
        classes: names of the N classes.
        palette: a colour for each.
        ids: class id, or `IGNORED`, of every value that occurs.
        first: number of the first class in the masks, 0 or 1, where their numbers are good to train on as they are;
            None where class ids have to be written to files of their own.
        ignore_index: the number in the masks that is left out; of no matter where they are written anew.
    """

    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ids: Mapping[Value, int]
    first: int | None
    ignore_index: int


def find_meaning(found: Mapping[Value, Occurrence], entries: Sequence[Entry], ignored: Sequence[str]) -> Meaning:
    """Hold the values in the masks against the class list.

    Args:
        found: the values that occur.
        entries: the class list.
        ignored: what is left out: names of the class list, numbers, or colours as "red,green,blue". 255 is left out
            anyway, unless a class has it.

    Raises:
        InputError: naming the values that nothing was said about, or what of `ignored` is neither name nor value.
    """
    names = {entry.name for entry in entries}
    left_out = {name for name in ignored if name in names}
    left_out_values = {_parse(text) for text in ignored if text not in names}
    classes = tuple(dict.fromkeys(entry.name for entry in entries if entry.name not in left_out))
    if not classes:
        raise InputError("--ignore leaves no class")

    ids: dict[Value, int] = {}
    unnamed: dict[Value, Occurrence] = {}
    grey = not any(entry.colour for entry in entries) and all(value.is_grey() for value in found)
    for value, occurrence in found.items():
        # Numbers that were saved as colours.
        read = Value(value.colour[0], None) if grey and value.colour is not None else value
        entry = _entry_of(read, entries)
        if _spoken_of(read, left_out_values) or (entry is not None and entry.name in left_out):
            ids[value] = IGNORED
        elif entry is not None:
            ids[value] = classes.index(entry.name)
        elif read.number == IGNORED:
            ids[value] = IGNORED
        else:
            unnamed[value] = occurrence
    if unnamed:
        raise InputError(_describe_unnamed(unnamed))
    first = _first_number(ids, entries, classes)
    outside = [value.number for value, class_id in ids.items() if class_id == IGNORED and value.number is not None]
    # The 0 that is left out before a first class of 1 is `reduce_zero_label`'s.
    ignore_index = next((number for number in outside if number != 0 or first == 0), IGNORED)
    return Meaning(classes, _palette(classes, entries, ids), ids, first, ignore_index)


def _parse(text: str) -> Value:
    parts = text.split(",")
    if len(parts) in (1, 3) and all(part.strip().isdecimal() for part in parts):
        numbers = [int(part) for part in parts]
        return Value(numbers[0], None) if len(numbers) == 1 else Value(None, (numbers[0], numbers[1], numbers[2]))
    raise InputError(f"--ignore {text}: expected a name of the class list, a number, or a colour as red,green,blue")


def _spoken_of(value: Value, spoken: set[Value]) -> bool:
    return Value(value.number, None) in spoken or Value(None, value.colour) in spoken


def _entry_of(value: Value, entries: Sequence[Entry]) -> Entry | None:
    """The line of the class list that a value is of: by number where lines have some, else by colour, else by place."""
    number = value.number
    if number is not None and any(entry.number is not None for entry in entries):
        return next((entry for entry in entries if entry.number == number), None)
    if value.colour is not None and any(entry.colour for entry in entries):
        return next((entry for entry in entries if entry.colour == value.colour), None)
    return entries[number] if number is not None and number < len(entries) else None


def _first_number(ids: Mapping[Value, int], entries: Sequence[Entry], classes: Sequence[str]) -> int | None:
    """See `Meaning.first`."""
    for first in (0, 1):
        numbered = [entry for entry in entries if entry.number is not None and entry.name in classes]
        as_listed = all(entry.number == classes.index(entry.name) + first for entry in numbered)
        as_found = all(value.number == class_id + first for value, class_id in ids.items() if class_id != IGNORED)
        outside = {value.number for value, class_id in ids.items() if class_id == IGNORED} - {0 if first else None}
        free = not outside & {None, *range(first, first + len(classes))} and first + len(classes) <= IGNORED
        if as_listed and as_found and free and len(outside) <= 1:
            return first
    return None


def _palette(classes: Sequence[str], entries: Sequence[Entry], ids: Mapping[Value, int]) -> tuple[Colour, ...]:
    """The class list's colours, else those of the masks' palettes, else distinct ones."""
    listed = {entry.name: entry.colour for entry in reversed(entries) if entry.colour is not None}
    in_masks = {classes[class_id]: value.colour for value, class_id in ids.items() if class_id != IGNORED}
    colours = [listed.get(name, None if listed else in_masks.get(name)) for name in classes]
    chosen = [colour for colour in colours if colour is not None]
    distinct = len(chosen) == len(classes) and len(set(chosen)) == len(chosen)
    return tuple(chosen) if distinct else default_palette(len(classes))


def _describe_unnamed(unnamed: Mapping[Value, Occurrence]) -> str:
    ordered = sorted(unnamed.items(), key=lambda item: -item[1].pixels)
    lines = [f"{len(unnamed)} values in the masks are of no class; name them in the class list, or --ignore them:"]
    lines += [
        f"  {value}: {found.pixels:,} pixels in {found.images:,} masks, for instance {found.example}"
        for value, found in ordered[:_SHOWN]
    ]
    if len(ordered) > _SHOWN:
        lines.append(f"  … and {len(ordered) - _SHOWN} more")
    if any(found.example.lower().endswith((".jpg", ".jpeg")) for found in unnamed.values()):
        lines.append("  JPEG does not keep values as they were: save masks as PNG")
    return "\n".join(lines)


def describe_without_list(found: Mapping[Value, Occurrence]) -> str:
    """What to do where no class list was given: a list to be filled in, with the values that occur."""
    ordered = sorted(found, key=lambda value: (value.number is None, value))[: IGNORED + 1]
    numbered, coloured = ordered[0].number is not None, ordered[0].colour is not None
    header = ["name", *(["value"] * numbered), *(["red", "green", "blue"] * coloured)]
    lines = [",".join(header)]
    for place, value in enumerate(ordered):
        cells = [*([value.number] * numbered), *((value.colour or ()) if coloured else ())]
        lines.append(",".join([f"class {place}", *map(str, cells)]))
    listing = "\n".join(lines)
    return (
        f"--classes is missing: {FORMATS}. {len(found)} values occur in the masks; with names in place of "
        f"class 0, class 1, … this is a class list (what is to be left out goes to --ignore):\n{listing}"
    )
