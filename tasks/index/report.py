"""The report of the index: how much of every class there is in every split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from prolab_model.dataset_config import DatasetConfig
from tasks.index.samples import Sample


def write_report(path: Path, samples: Sequence[Sample], config: DatasetConfig, picture: str) -> None:
    """Write a headline, a table of classes by split, what is unusual, and the picture of examples."""
    path.write_text("\n".join(_lines(samples, config, picture)) + "\n", encoding="utf-8")


def _lines(samples: Sequence[Sample], config: DatasetConfig, picture: str) -> Iterator[str]:
    by_split = {split: [sample for sample in samples if sample.pair.split == split] for split in config.data}
    counts = ", ".join(f"{len(inside)} {split}" for split, inside in by_split.items())
    yield f"**{len(samples)} images of {len(config.classes)} classes**: {counts}; {_sizes(samples)}"
    yield ""
    yield "Share of the pixels, and number of images that show the class:"
    yield ""
    yield "| class | " + " | ".join(f"{split} % | {split} images" for split in by_split) + " |"
    yield "| --- |" + " ---: | ---: |" * len(by_split)
    statistics = [_statistics(inside, config) for inside in by_split.values()]
    for row, name in enumerate((*config.classes, "*left out*")):
        yield f"| {name} | " + " | ".join(f"{split[row][0]:.2f} | {split[row][1]}" for split in statistics) + " |"
    yield ""
    for split, shares in zip(by_split, statistics, strict=True):
        if absent := [name for name, (_, images) in zip(config.classes, shares, strict=False) if not images]:
            yield f"- Never in {split}: {', '.join(absent)}"
    yield ""
    yield f"![Photos, labels and the classes' colours]({picture})"


def _statistics(samples: Sequence[Sample], config: DatasetConfig) -> list[tuple[float, int]]:
    """For each class, and last for what is left out: percentage of the pixels, number of images that show it."""
    everything = sum(sample.width * sample.height for sample in samples)
    pixels: Counter[int] = Counter()
    images: Counter[int] = Counter()
    left_out = len(config.classes)
    for sample in samples:
        counts = {**sample.counts, left_out: sample.width * sample.height - sum(sample.counts.values())}
        pixels.update(counts)
        images.update(class_id for class_id, count in counts.items() if count)
    return [(100 * pixels[row] / everything, images[row]) for row in range(left_out + 1)]


def _sizes(samples: Sequence[Sample]) -> str:
    widths = [sample.width for sample in samples]
    heights = [sample.height for sample in samples]
    smallest, largest = f"{min(widths)} x {min(heights)}", f"{max(widths)} x {max(heights)}"
    return f"{smallest} pixels" if smallest == largest else f"{smallest} to {largest} pixels"
