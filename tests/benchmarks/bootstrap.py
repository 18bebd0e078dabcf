"""Comparing two models by the bootstrap: all draws as one product of matrices, against a loop over the draws.

python -m tests.benchmarks.bootstrap
"""

from __future__ import annotations

import time

import numpy as np

from tasks.compare.bootstrap import RESAMPLES, figures
from tasks.compare.comparison import find_differences
from tasks.compare.counts import Counts

CLASSES = 150
CLASSES_OF_A_PHOTO = 12
IMAGES = (500, 5000)
DRAWS_OF_THE_LOOP = 40


def make_counts(images: int, seed: int) -> Counts:
    """Photos with a dozen of the classes each."""
    generator = np.random.default_rng(seed)
    labelled = generator.integers(1, 60_000, (images, CLASSES))
    labelled *= generator.random((images, CLASSES)) < CLASSES_OF_A_PHOTO / CLASSES
    right = generator.binomial(labelled, 0.7)
    predicted = right + np.roll(labelled - right, 1, axis=1)
    return np.stack([right, labelled, predicted, right // 5, labelled // 4, predicted // 4], axis=1)


def seconds_of_loop(a: Counts, b: Counts) -> float:
    """The time of as many draws as `find_differences` makes, from that of some."""
    generator = np.random.default_rng(0)
    started = time.perf_counter()
    for _ in range(DRAWS_OF_THE_LOOP):
        chosen = generator.integers(len(a), size=len(a))
        for model in (a, b):
            figures(model[chosen])
    return (time.perf_counter() - started) * RESAMPLES / DRAWS_OF_THE_LOOP


def main() -> None:
    """Print both times for each number of photos."""
    for images in IMAGES:
        a, b = make_counts(images, seed=1), make_counts(images, seed=2)
        started = time.perf_counter()
        find_differences(a, b, [str(number) for number in range(CLASSES)])
        seconds = time.perf_counter() - started
        loop = seconds_of_loop(a, b)
        print(
            f"{images} photos, {CLASSES} classes, {RESAMPLES} draws: {seconds:.2f} s, in a loop {loop:.1f} s: "
            f"{loop / seconds:.0f} x"
        )


if __name__ == "__main__":
    main()
