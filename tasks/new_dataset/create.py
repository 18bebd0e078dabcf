"""Looks at a user's photos and masks and makes a data set of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePath

from prolab_model.dataset_config import IGNORED, DatasetConfig, SplitFolders, validate_dataset_config
from prolab_model.whole_files import write_whole
from tasks.errors import InputError, raise_for
from tasks.new_dataset.class_list import Entry, read_class_list
from tasks.new_dataset.masks import Looked, Value, class_ids, look_at
from tasks.new_dataset.meaning import Meaning, Occurrence, describe_without_list, find_meaning
from tasks.new_dataset.pairing import Pairing, pair
from tasks.new_dataset.splits import SPLITS, split
from tasks.new_dataset.texts import dataset_text, experiment_text
from tasks.prepare.conversion import Conversion, convert
from tasks.processes import mapped_in_processes
from tasks.progress import Progress


@dataclass(frozen=True)
class Source:
    """What the user gives.

    Attributes:
        images: the folder of photos.
        masks: the folder of masks; may be the same one.
        classes: the class list, or None to be told what it should say.
        ignored: values, or names of the class list, that are left out.
        image_suffix: how photos' names end, where it cannot be guessed.
        mask_suffix: how masks' names end, likewise.
        validation_share: share of the photos to validate with, where no folders or lists say which.
    """

    images: Path
    masks: Path
    classes: Path | None
    ignored: Sequence[str] = ()
    image_suffix: str | None = None
    mask_suffix: str | None = None
    validation_share: float = 0.2


@dataclass(frozen=True)
class ClassCount:
    """How much there is of a class, or of what is left out; `values` stand for it in the masks."""

    name: str
    values: tuple[Value, ...]
    pixels: int
    masks: int


@dataclass(frozen=True)
class NewDataset:
    """What was found and made.

    Attributes:
        classes: what there is of each class.
        ignored: what there is of the values that are left out.
        sizes: smallest and largest (width, height) of the photos, each side for itself.
        left_out: photos and masks that are of no use, each with the reason.
        images: photos of each split.
        made: files and folders that were written.
    """

    classes: Sequence[ClassCount]
    ignored: ClassCount
    sizes: tuple[tuple[int, int], tuple[int, int]]
    left_out: Sequence[str]
    images: Mapping[str, int]
    made: Sequence[Path]


def create(source: Source, name: str | None, to: Path, configs: Path, progress: Progress) -> NewDataset:
    """Write `to/NAME.py`, `to/NAME.yaml`, lists of the splits and, where need be, label maps beside the masks.

    Files that are there are kept if they say the same, or are lists of the splits; nothing else is ever replaced.

    Args:
        source: photos, masks and class list.
        name: of the data set; its folder's if not given.
        to: the folder of the configuration and the experiment.
        configs: where networks and prompts lie.
        progress: where it reports.

    Raises:
        InputError: naming what is wrong with which file, value or class; then nothing is written.
    """
    images, masks = (Path(os.path.normpath(folder.expanduser())) for folder in (source.images, source.masks))
    if name is not None and PurePath(name).name != name:
        raise InputError(f"--name {name}: expected the name of a file, without folders")
    entries = None if source.classes is None else read_class_list(source.classes)
    pairing = pair(images, masks, source.image_suffix, source.mask_suffix)
    seen, unusable = _look(images, masks, pairing, progress)
    if not seen:
        raise_for(unusable, f"{images} and {masks}, of which nothing can be used")
    found = _occurrences(seen, pairing.mask_suffix)
    if entries is None:
        raise InputError(describe_without_list(found))
    meaning = find_meaning(found, entries, source.ignored)

    root = Path(os.path.commonpath([images.absolute(), masks.absolute()]))
    name = name or root.name
    lists = {part: root / "splits" / f"{part}.txt" for part in SPLITS}
    splits = split(list(seen), lists, source.validation_share)
    counts = {part: len(names) for part, names in splits.items()}
    labels = masks.absolute() if meaning.first is not None else root / f"{masks.name}_labels"
    config = _config(root, images.absolute(), labels, pairing, meaning, {part: lists[part] for part in splits})

    to = to.expanduser().absolute()
    experiment = experiment_text(
        name,
        config=PurePath(f"{name}.py"),
        root=_seen_from(to, root),
        configs=_seen_from(to, configs),
        smallest_side=min(min(photo.width, photo.height) for photo in seen.values()),
    )
    texts = {to / f"{name}.py": dataset_text(config, counts), to / f"{name}.yaml": experiment}
    # Says what the label maps' numbers mean; those that were written for another class list are not taken for these.
    meanings = {labels / "classes.json": _class_list_text(entries, source.ignored)} if meaning.first is None else {}
    _refuse_to_replace(texts | meanings)
    if meaning.first is None:
        _write(meanings)
        _write_labels(root, masks, labels, pairing, list(seen), meaning, progress)
    texts |= {lists[part]: "".join(f"{path}\n" for path in names) for part, names in splits.items()}
    _write(texts)
    unlisted = sorted(set(seen).difference(*splits.values()))
    widths, heights = ([getattr(photo, side) for photo in seen.values()] for side in ("width", "height"))
    return NewDataset(
        classes=[_count(name, class_id, seen, meaning) for class_id, name in enumerate(meaning.classes)],
        ignored=_count("left out", IGNORED, seen, meaning),
        sizes=((min(widths), min(heights)), (max(widths), max(heights))),
        left_out=[*pairing.alone, *unusable, *(f"{path}: in no list of {root / 'splits'}" for path in unlisted)],
        images=counts,
        made=[*texts, *(path.parent for path in meanings)],
    )


def _look(images: Path, masks: Path, pairing: Pairing, progress: Progress) -> tuple[dict[str, Looked], list[str]]:
    """What was found in the pairs that can be used, by their name, and what is wrong with the others."""
    files = [(images / (path + pairing.image_suffix), masks / (path + pairing.mask_suffix)) for path in pairing.names]
    seen, problems = {}, []
    with (
        progress.bar("look", total=len(files), unit="photos and masks") as bar,
        mapped_in_processes(look_at, files) as results,
    ):
        for path, looked in zip(pairing.names, results, strict=True):
            if looked.problem is None:
                seen[path] = looked
            else:
                problems.append(looked.problem)
            bar.advance()
    return seen, problems


def _occurrences(seen: Mapping[str, Looked], suffix: str) -> dict[Value, Occurrence]:
    found: dict[Value, Occurrence] = {}
    for path, looked in seen.items():
        for value, pixels in looked.pixels:
            before = found.get(value, Occurrence(0, 0, path + suffix))
            found[value] = Occurrence(before.pixels + pixels, before.images + 1, before.example)
    return found


def _count(name: str, class_id: int, seen: Mapping[str, Looked], meaning: Meaning) -> ClassCount:
    values = tuple(value for value, found_id in meaning.ids.items() if found_id == class_id)
    in_masks = [sum(pixels for value, pixels in looked.pixels if value in values) for looked in seen.values()]
    return ClassCount(name, values, sum(in_masks), sum(pixels > 0 for pixels in in_masks))


def _config(
    root: Path, images: Path, labels: Path, pairing: Pairing, meaning: Meaning, lists: Mapping[str, Path]
) -> DatasetConfig:
    written = meaning.first is None
    folders = {
        part: SplitFolders(
            img_dir=images.relative_to(root).as_posix(),
            ann_dir=labels.relative_to(root).as_posix(),
            img_suffix=pairing.image_suffix,
            seg_map_suffix=".png" if written else pairing.mask_suffix,
            split=path.relative_to(root).as_posix(),
        ).model_dump()
        for part, path in lists.items()
    }
    values = {
        "data_root": _seen_from(Path.cwd(), root).as_posix(),
        "classes": meaning.classes,
        "palette": meaning.palette,
        "ignore_index": IGNORED if written else meaning.ignore_index,
        "reduce_zero_label": meaning.first == 1,
        "data": folders,
    }
    try:
        return validate_dataset_config(values, source="the new data set")
    except ValueError as error:
        raise InputError(str(error)) from error


def _write_labels(
    root: Path,
    masks: Path,
    labels: Path,
    pairing: Pairing,
    names: Sequence[str],
    meaning: Meaning,
    progress: Progress,
) -> None:
    conversions = []
    for name in names:
        mask = masks / (name + pairing.mask_suffix)
        conversions.append(Conversion(str(mask), labels / f"{name}.png", partial(class_ids, mask, meaning.ids), mask))
    raise_for(convert(root, conversions, progress).problems, f"the masks at {masks}")


def _class_list_text(entries: Sequence[Entry], ignored: Sequence[str]) -> str:
    lines = [json.dumps(asdict(entry), ensure_ascii=False) for entry in entries]
    listing = ",\n    ".join(lines)
    return (
        f'{{\n  "classes": [\n    {listing}\n  ],\n  "ignored": {json.dumps(list(ignored), ensure_ascii=False)}\n}}\n'
    )


def _write(texts: Mapping[Path, str]) -> None:
    """Write the files that are not there."""
    for path, text in texts.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text.encode(errors="surrogateescape"))


def _refuse_to_replace(texts: Mapping[Path, str]) -> None:
    for path, text in texts.items():
        if path.exists() and path.read_text(encoding="utf-8") != text:
            raise InputError(f"{path} is there and says something else: move it away, or give another --name or --to")


def _seen_from(folder: Path, path: Path) -> PurePath:
    """A path relative to a folder where both lie below the working directory, otherwise as it is."""
    here = Path.cwd()
    if path.is_relative_to(here) and folder.is_relative_to(here):
        return PurePath(os.path.relpath(path, folder))
    return path
