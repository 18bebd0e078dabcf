"""A class with its descriptions, put together from the answers about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.describe.phrases import Dropped
from tasks.describe.retrieve import Response, Retrieved
from tasks.describe.topics import Purpose
from tasks.errors import InputError


@dataclass(frozen=True)
class Reading:
    """One answer, what it was asked for, and the lines of it that are dropped."""

    purpose: Purpose
    prompt_hash: str
    response: Response
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True)
class Described:
    """A class with its phrases, and the answers that were read for them."""

    class_name: str
    phrases: tuple[str, ...]
    readings: tuple[Reading, ...] = ()


def put_together(classes: Sequence[str], retrieved: Sequence[Retrieved]) -> list[Described]:
    """The phrases that describe each class, then those that tell it apart from others, each once.

    A phrase that was to tell a class apart, and was said of another class of its group too, is dropped.

    Raises:
        InputError: naming the classes of a group that are left without a phrase of their own.
    """
    said = {
        group: _said_twice(group, retrieved) for group in {item.topic.group for item in retrieved if item.topic.group}
    }
    phrases: dict[str, dict[str, str]] = {name: {} for name in classes}
    readings: dict[str, list[Reading]] = {name: [] for name in classes}
    for item in retrieved:
        name, group = item.topic.class_name, item.topic.group
        dropped: list[Dropped] = []
        for phrase in item.phrases:
            if group and phrase.casefold() in said[group]:
                dropped.append(Dropped(phrase, "said of both"))
            elif phrase.casefold() in phrases[name]:
                dropped.append(Dropped(phrase, "repeated"))
            else:
                phrases[name][phrase.casefold()] = phrase
        if group and len(dropped) == len(item.phrases):
            raise InputError(
                f"Contrast of {', '.join(map(repr, group))}: the answer about {name!r} says nothing that is new "
                "and not of the others too; change the contrast prompt, the model or the seed, or merge the classes"
            )
        last = len(item.responses) - 1
        readings[name] += [
            Reading(
                item.topic.purpose,
                item.topic.prompt_hash,
                response,
                (*response.parsed.dropped, *(dropped if index == last else ())),
            )
            for index, response in enumerate(item.responses)
        ]
    return [Described(name, tuple(phrases[name].values()), tuple(readings[name])) for name in classes]


def _said_twice(group: Sequence[str], retrieved: Sequence[Retrieved]) -> set[str]:
    counts = Counter(
        phrase
        for item in retrieved
        if item.topic.group == group
        for phrase in {text.casefold() for text in item.phrases}
    )
    return {phrase for phrase, count in counts.items() if count > 1}
