"""Mean IoU of classes that a network was trained on, and of others."""

import numpy as np
import pytest

from tasks.evaluate.unseen import seen_and_unseen

CLASSES = ("road", "car", "truck", "bus")


def test_means_of_both_kinds() -> None:
    figures = seen_and_unseen(np.array([0.9, 0.5, 0.3, 0.1]), CLASSES, ("truck", "bus"))

    assert figures is not None
    assert (figures.seen, figures.unseen) == pytest.approx((0.7, 0.2))
    assert figures.harmonic == pytest.approx(2 * 0.7 * 0.2 / 0.9)


def test_classes_that_do_not_occur_are_left_out() -> None:
    figures = seen_and_unseen(np.array([0.9, np.nan, 0.3, np.nan]), CLASSES, ("truck", "bus"))

    assert figures is not None
    assert (figures.seen, figures.unseen) == pytest.approx((0.9, 0.3))


@pytest.mark.parametrize("unseen", [(), ("bus",), CLASSES])
def test_without_one_of_the_kinds_there_is_nothing_to_compare(unseen: tuple[str, ...]) -> None:
    assert seen_and_unseen(np.array([0.9, 0.5, 0.3, np.nan]), CLASSES, unseen) is None


def test_nothing_is_found_of_either() -> None:
    figures = seen_and_unseen(np.zeros(4), CLASSES, ("bus",))

    assert figures is not None
    assert figures.harmonic == 0.0
