"""A class with its descriptions, put together from the answers about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.describe.retrieve import Retrieved


@dataclass(frozen=True)
class Described:
    """A class with its phrases, and the answers that were read for them; a file has none."""

    class_name: str
    phrases: tuple[str, ...]
    retrieved: tuple[Retrieved, ...] = ()


def from_answers(retrieved: Sequence[Retrieved]) -> list[Described]:
    """One class for each topic."""
    return [Described(item.topic.class_name, item.phrases, (item,)) for item in retrieved]


def complement(described: Sequence[Described], contrasts: Sequence[Retrieved]) -> list[Described]:
    """The classes with the phrases that tell them apart from others behind those that describe them."""
    complemented = []
    for item in described:
        own = [contrast for contrast in contrasts if contrast.topic.class_name == item.class_name]
        phrases = (phrase for contrast in own for phrase in contrast.phrases)
        complemented.append(Described(item.class_name, (*item.phrases, *phrases), (*item.retrieved, *own)))
    return complemented
