from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from artifacts import Artifact, Store
from tasks.label_space import ClassMatrix, Properties
from tasks.labels.compare import compare
from tasks.labels.described import Class, DescribedSpace, Description, read_described_space
from tests.label_spaces import STREET, make_label_space


def made_up(classes: Mapping[str, Mapping[str, int]]) -> DescribedSpace:
    """A label space of {class: {phrase: property}}."""
    count = 1 + max(number for phrases in classes.values() for number in phrases.values())
    matrix = np.zeros((len(classes), count), dtype=bool)
    for row, phrases in enumerate(classes.values()):
        matrix[row, list(phrases.values())] = True
    return DescribedSpace(
        "label_space:made-up",
        Properties(tuple(f"property {number}" for number in range(count)), np.zeros((count, 2), dtype=np.float32)),
        (ClassMatrix("", tuple(classes), matrix),),
        tuple(
            Description(Class("", name), text, number, 0.0)
            for name, phrases in classes.items()
            for text, number in phrases.items()
        ),
    )


def test_a_label_space_is_like_itself(street: Artifact) -> None:
    space = read_described_space(street)
    comparison = compare(space, space)
    assert comparison.shared_phrases == sum(map(len, STREET.values()))
    assert comparison.adjusted_rand_index == comparison.normalized_mutual_information == 1
    assert comparison.kept_properties == tuple((number, number) for number in range(12))
    assert not comparison.changed_classes
    assert not comparison.moved_classes
    assert not comparison.properties_lost
    assert not comparison.properties_gained


def test_what_differs_is_found() -> None:
    before = made_up({"a": {"p": 0, "q": 1}, "b": {"p": 0, "r": 2}, "c": {"q": 1, "s": 2, "t": 3}})
    after = made_up({"a": {"p": 1, "q": 0}, "b": {"p": 1, "r": 2, "u": 3}, "c": {"q": 0, "s": 4}, "d": {"p": 1}})
    comparison = compare(before, after)
    assert comparison.classes_lost == ()
    assert comparison.classes_gained == (Class("", "d"),)
    changes = {change.owner.name: (change.kept, change.removed, change.added) for change in comparison.changed_classes}
    assert changes == {"b": (2, (), ("u",)), "c": (2, ("t",), ())}
    # Shared are a's p and q, b's p and r, c's q and s; r and s were one property and are two now.
    assert comparison.shared_phrases == 6
    assert comparison.adjusted_rand_index == pytest.approx(adjusted_rand_score([0, 1, 0, 2, 1, 2], [1, 0, 1, 2, 0, 4]))
    assert comparison.kept_properties == ((0, 1), (1, 0))
    assert comparison.properties_lost == (2, 3)
    assert comparison.properties_gained == (2, 3, 4)


def test_a_class_moves_when_none_of_its_neighbours_is_left() -> None:
    before = made_up({"a": {"p": 0, "q": 1}, "b": {"p": 0, "r": 2}, "c": {"s": 3}, "d": {"r": 2, "q": 1}})
    after = made_up({"a": {"p": 0, "q": 1}, "b": {"p": 2, "r": 3}, "c": {"s": 1}, "d": {"r": 3, "q": 2}})
    moved = {item.owner.name: item for item in compare(before, after).moved_classes}
    assert set(moved) == {"a"}  # b and d were near to each other before, and are now, too
    assert {owner.name for owner in moved["a"].before.classes} == {"b", "d"}
    assert moved["a"].before.cosine == pytest.approx(0.5)
    assert [owner.name for owner in moved["a"].after.classes] == ["c"]


def test_nothing_in_common() -> None:
    comparison = compare(made_up({"a": {"p": 0}}), made_up({"b": {"p": 0}}))
    assert comparison.shared_phrases == 0
    assert comparison.adjusted_rand_index is None
    assert comparison.normalized_mutual_information is None
    assert comparison.properties_lost == comparison.properties_gained == (0,)


def test_two_language_models_on_camvid(store: Store, shared_data: Path, tmp_path: Path) -> None:
    """They say other things of the same classes."""
    spaces = [
        read_described_space(
            make_label_space(store, json.loads((shared_data / "descriptors" / name).read_text()), tmp_path, 24)
        )
        for name in ("camvid_gpt3.5.json", "camvid_qwen2.5-coder-1.5b.json")
    ]
    comparison = compare(*spaces)
    assert comparison.classes_lost == comparison.classes_gained == ()
    assert len(comparison.changed_classes) == 11
    assert comparison.shared_phrases < 10
