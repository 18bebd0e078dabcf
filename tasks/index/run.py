"""Makes the `dataset` artifact."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from artifacts import FileMemory, code_fingerprint
from prolab_model.dataset_config import DatasetConfig
from tasks.errors import raise_for
from tasks.index import STAGE
from tasks.index.contents import read_label_map, read_photo
from tasks.index.examples import draw_examples
from tasks.index.folders import Pair, find_pairs
from tasks.index.report import write_report
from tasks.index.samples import Sample, read_sample
from tasks.kinds import DATASET
from tasks.stage import StageContext

_SAVE_EVERY = 1000
"""Images after which a run that is then killed has kept what it found."""


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Read every file below the data set's root once, check it, and write the index.

    Raises:
        InputError: folders are missing, or files are; the message lists what is wrong with which file.
    """
    config: DatasetConfig = context.params.dataset_config()
    root: Path = context.params.dataset_root(config)
    pairs, problems = find_pairs(root, config)
    samples, unusable = _read_samples(root, pairs, config, context)
    raise_for(problems + unusable, f"the data set at {root}")

    _write_table(context.output, "samples.parquet", [_sample_row(sample) for sample in samples])
    _write_table(context.output, "classes.parquet", _class_rows(config))
    _write_table(context.output, "label_counts.parquet", _count_rows(samples))
    images = Counter(sample.pair.split for sample in samples)
    _write_json(context.output / "rules.json", _rules(config, images))
    _write_json(context.output / "location.json", {"root": str(root)})
    draw_examples(context.output / "examples.jpg", root, samples, config)
    write_report(context.output / "report.md", samples, config, picture="examples.jpg")
    return {"classes": len(config.classes), **{f"{split}_images": count for split, count in images.items()}}


def _read_samples(
    root: Path, pairs: Sequence[Pair], config: DatasetConfig, context: StageContext
) -> tuple[list[Sample], list[str]]:
    samples: list[Sample] = []
    problems: list[str] = []
    # What other code found is not trusted.
    code = code_fingerprint(STAGE.sources)[:16]
    photos = FileMemory(context.cache / f"photos-{code}.jsonl", read_photo)
    label_maps = FileMemory(context.cache / f"label_maps-{code}.jsonl", read_label_map)
    read = partial(read_sample, root=root, config=config, photos=photos, label_maps=label_maps)
    # Reading, decoding and hashing let go of the interpreter's lock, so threads are enough.
    with (
        ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool,
        context.progress.bar("index", total=len(pairs), unit="images") as bar,
    ):
        for number, (sample, wrong) in enumerate(pool.map(read, pairs), start=1):
            if sample is not None:
                samples.append(sample)
            problems += wrong
            bar.advance()
            if number % _SAVE_EVERY == 0:
                photos.save()
                label_maps.save()
    photos.save()
    label_maps.save()
    return samples, problems


def _sample_row(sample: Sample) -> dict[str, JsonValue]:
    return {
        "split": sample.pair.split,
        "image": sample.pair.image,
        "label": sample.pair.label,
        "width": sample.width,
        "height": sample.height,
        "image_hash": sample.image_hash,
        "label_hash": sample.label_hash,
    }


def _class_rows(config: DatasetConfig) -> list[dict[str, JsonValue]]:
    return [
        {"class_id": class_id, "name": name, "red": red, "green": green, "blue": blue}
        for class_id, (name, (red, green, blue)) in enumerate(zip(config.classes, config.palette, strict=True))
    ]


def _count_rows(samples: Sequence[Sample]) -> list[dict[str, JsonValue]]:
    return [
        {"sample": row, "class_id": class_id, "pixels": pixels}
        for row, sample in enumerate(samples)
        for class_id, pixels in sorted(sample.counts.items())
    ]


def _rules(config: DatasetConfig, images: Mapping[str, int]) -> dict[str, JsonValue]:
    return {
        "classes": list(config.classes),
        "ignore_index": config.ignore_index,
        "reduce_zero_label": config.reduce_zero_label,
        "splits": {split: {**folders.model_dump(), "images": images[split]} for split, folders in config.data.items()},
    }


def _write_table(folder: Path, name: str, rows: list[dict[str, JsonValue]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows, schema=DATASET.tables[name]), folder / name)


def _write_json(path: Path, value: Mapping[str, JsonValue]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
