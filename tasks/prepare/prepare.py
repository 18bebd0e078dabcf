"""Prepares one published data set."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prolab_model.dataset_config import IGNORED, DatasetConfig, training_labels
from prolab_model.image_files import ImageFileError, decode_label
from prolab_model.whole_files import write_whole
from tasks.errors import InputError, raise_for
from tasks.index.folders import Pair, find_pairs
from tasks.prepare.annotations import Wanted
from tasks.prepare.conversion import convert
from tasks.prepare.missing import describe_missing
from tasks.prepare.published import Published
from tasks.progress import Progress


@dataclass(frozen=True)
class Prepared:
    """A data set that the stage `index` can read.

    Attributes:
        images: photos with a label map, by split.
        made: label maps that were made.
        kept: label maps that an earlier run had made.
        seconds: what it took.
    """

    images: Mapping[str, int]
    made: int
    kept: int
    seconds: float


def prepare(published: Published, config: DatasetConfig, root: Path, progress: Progress) -> Prepared:
    """Check what was downloaded into `root` and make the label maps that are not there; nothing is moved or deleted.

    Raises:
        InputError: naming every folder, file or annotation that is missing or wrong; what could be made stays.
    """
    started = time.monotonic()
    root = root.expanduser().absolute()
    if not root.is_dir():
        raise InputError(f"--root {root}: there is no such folder")
    wanted = [*_photos(config), *published.annotations.wanted(root, config)]
    if missing := [part for part in wanted if not part.is_below(root)]:
        details = describe_missing(root, missing, published.archives)
        raise InputError(f"{len(missing)} of {len(wanted)} parts of the data set are missing\n{details}")

    plan = published.annotations.plan(root, config)
    converted = convert(root, plan.conversions, progress)
    raise_for(converted.problems, f"the annotations at {root}")
    for path, text in plan.lists.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        write_whole(root / path, text.encode())

    pairs, problems = find_pairs(root, config)
    raise_for(problems, f"the data set at {root}")
    raise_for(list(_first_label_maps(root, pairs, config)), f"the data set at {root}")
    images = Counter(pair.split for pair in pairs)
    return Prepared(images, converted.made, converted.kept, time.monotonic() - started)


def _photos(config: DatasetConfig) -> Iterator[Wanted]:
    """The folders of photos; splits may share one."""
    return iter(dict.fromkeys(Wanted(folders.img_dir, (folders.img_suffix,)) for folders in config.data.values()))


def _first_label_maps(root: Path, pairs: Sequence[Pair], config: DatasetConfig) -> Iterator[str]:
    """What is wrong with the first label map of each split, which shows whether they are of the right kind."""
    for split in config.data:
        label = next(pair.label for pair in pairs if pair.split == split)
        try:
            trained = training_labels(
                decode_label((root / label).read_bytes()),
                ignore_index=config.ignore_index,
                reduce_zero_label=config.reduce_zero_label,
            )
        except (ImageFileError, ValueError, OSError) as error:
            yield f"{label}: {error}"
            continue
        unknown = trained[(trained >= len(config.classes)) & (trained != IGNORED)]
        if len(unknown):
            highest = int(unknown.max()) + config.reduce_zero_label
            yield f"{label}: label {highest} is none of the {len(config.classes)} classes"
