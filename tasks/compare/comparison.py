"""What differs between two evaluations of the same photos, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from artifacts import Artifact, Manifest
from tasks.compare.bootstrap import RESAMPLES, Floats, figures, interval, resample
from tasks.compare.counts import AREAS, Counts, read_counts
from tasks.errors import InputError

_SPLIT = "split"

# Of five photos that all speak for one side nobody can say that it is not chance: tossed coins agree as often as
# 1 in 16 times. Of six it is 1 in 32, fewer than 5 %.
_FEWEST_PHOTOS = 6


@dataclass(frozen=True)
class Difference:
    """One figure of two evaluations, A and B, each between 0 and 1, or NaN.

    Attributes:
        a, b: the figure of each.
        low, high: bounds of B - A in 95 % of the draws of photos.
        ahead: share of the draws in which B is ahead of A.
        photos: number of photos that have labels for it.
    """

    a: float
    b: float
    low: float
    high: float
    ahead: float
    photos: int

    @property
    def value(self) -> float:
        """B - A."""
        return self.b - self.a

    @property
    def distinguishable(self) -> bool:
        """Whether 95 % of the draws agree that there is a difference, and photos enough were drawn from."""
        return self.photos >= _FEWEST_PHOTOS and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class ClassDifference:
    """A class in two evaluations.

    Attributes:
        name: of the class.
        iou, accuracy, boundary_iou: its figures.
    """

    name: str
    iou: Difference
    accuracy: Difference
    boundary_iou: Difference


@dataclass(frozen=True)
class Differences:
    """What differs between two models on the same photos.

    Attributes:
        mean_iou, mean_accuracy, pixel_accuracy, mean_boundary_iou: the headline figures.
        classes: N.
        photos: how many there are.
        resamples: how often photos were drawn.
    """

    mean_iou: Difference
    mean_accuracy: Difference
    pixel_accuracy: Difference
    mean_boundary_iou: Difference
    classes: Sequence[ClassDifference]
    photos: int
    resamples: int


@dataclass(frozen=True)
class PhotoDifference:
    """The mean IoU of one photo in two evaluations, each between 0 and 1."""

    name: str
    a: float
    b: float

    @property
    def value(self) -> float:
        """B - A."""
        return self.b - self.a


@dataclass(frozen=True)
class Comparison:
    """Two evaluations side by side; B is held against A.

    Attributes:
        differences: of the figures.
        photos: those that have labels, from B's largest gain to its largest loss.
    """

    a: Artifact
    b: Artifact
    differences: Differences
    photos: Sequence[PhotoDifference]


def compare(a: Artifact, b: Artifact, resamples: int = RESAMPLES) -> Comparison:
    """Compare two evaluations.

    Raises:
        InputError: they are not of the same photos, labels and classes, or one has no counts of single photos.
    """
    require_same_photos(a.manifest, b.manifest)
    classes = a.table("per_class.parquet")["name"].to_pylist()
    differences = find_differences(read_counts(a), read_counts(b), classes, resamples)
    return Comparison(a, b, differences, _photo_differences(a, b))


def _photo_differences(a: Artifact, b: Artifact) -> list[PhotoDifference]:
    photos_a, photos_b = a.table("per_image.parquet"), b.table("per_image.parquet")
    photos = map(
        PhotoDifference, photos_a["image"].to_pylist(), photos_a["miou"].to_pylist(), photos_b["miou"].to_pylist()
    )
    return sorted((photo for photo in photos if not np.isnan(photo.value)), key=lambda photo: -photo.value)


def require_same_photos(a: Manifest, b: Manifest) -> None:
    """Refuse two evaluations that did not measure the same thing.

    Raises:
        InputError: their data sets or splits differ.
    """
    require_measured_on(a, b.inputs["dataset"].digest, str(b.parameters[_SPLIT]), b.reference)


def require_measured_on(evaluation: Manifest, dataset_digest: str, split: str, other: str) -> None:
    """Refuse an evaluation that is not of the split of the data set on which `other` is measured.

    Raises:
        InputError: it is of another data set or split.
    """
    dataset = evaluation.inputs["dataset"]
    if dataset.digest != dataset_digest:
        raise InputError(
            f"{evaluation.reference} and {other} cannot be compared: expected the same photos, labels and classes, got "
            f"data sets of different content, {dataset.digest[:12]} (dataset:{dataset.version}) and "
            f"{dataset_digest[:12]}"
        )
    if evaluation.parameters[_SPLIT] != split:
        raise InputError(
            f"{evaluation.reference} and {other} cannot be compared: expected the same split, got "
            f"{evaluation.parameters[_SPLIT]!r} and {split!r}"
        )


def find_differences(a: Counts, b: Counts, classes: Sequence[str], resamples: int = RESAMPLES) -> Differences:
    """Hold model B against model A, both on the same photos (M, 6, N) of N classes."""
    all_a, all_b = figures(a), figures(b)
    drawn_a, drawn_b = resample((a, b), resamples)
    labelled = a[:, AREAS.index("label_pixels")] > 0  # (M, N)

    def differences(name: str, photos: Counts) -> list[Difference]:
        change: Floats = getattr(drawn_b, name) - getattr(drawn_a, name)
        columns = (getattr(all_a, name)[0], getattr(all_b, name)[0], *interval(change), _share_ahead(change), photos)
        return [
            Difference(float(value_a), float(value_b), float(low), float(high), float(ahead), int(count))
            for value_a, value_b, low, high, ahead, count in zip(*map(np.atleast_1d, columns), strict=True)
        ]

    def headline(name: str) -> Difference:
        return differences(name, labelled.any(axis=1).sum(keepdims=True))[0]

    per_class = [differences(name, labelled.sum(axis=0)) for name in ("iou", "accuracy", "boundary_iou")]
    return Differences(
        mean_iou=headline("mean_iou"),
        mean_accuracy=headline("mean_accuracy"),
        pixel_accuracy=headline("pixel_accuracy"),
        mean_boundary_iou=headline("mean_boundary_iou"),
        classes=[ClassDifference(*row) for row in zip(classes, *per_class, strict=True)],
        photos=len(a),
        resamples=resamples,
    )


def verdict(differences: Differences) -> str:
    """What is to be thought of the difference in mean IoU, in words."""
    change = differences.mean_iou
    if change.value == change.low == change.high == 0:
        return "A and B have the same mIoU, whichever photos are drawn: not distinguishable."
    gain = change.value > 0
    few = "" if change.photos >= _FEWEST_PHOTOS else f" Of fewer than {_FEWEST_PHOTOS} photos nothing can be said."
    return (
        f"B's mIoU is {100 * abs(change.value):.2f} points {'higher' if gain else 'lower'}. This "
        f"{'gain' if gain else 'loss'} is {'' if change.distinguishable else 'not '}distinguishable from chance: with "
        f"other photos it would be between {100 * change.low:+.2f} and {100 * change.high:+.2f} points (95 % of "
        f"{differences.resamples} draws of the {differences.photos} photos; B is ahead in {100 * change.ahead:.1f} % "
        f"of them).{few}"
    )


def _share_ahead(change: Floats) -> Floats:
    """Share of the draws (R, ...) with a gain, among those that have a value."""
    with np.errstate(invalid="ignore"):
        return np.asarray((change > 0).sum(axis=0) / np.isfinite(change).sum(axis=0))
