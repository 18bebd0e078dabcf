"""What contrasts add to the descriptions: phrases that are new, and said of one class of the group alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tasks.describe.described import Described
from tasks.describe.phrases import Dropped, Parsed
from tasks.describe.retrieve import Retrieved


def sift_contrasts(described: Sequence[Described], contrasts: Sequence[Retrieved]) -> list[Retrieved]:
    """The answers with those phrases dropped that tell nothing apart.

    These are phrases that are "said of both", in any answer to the contrast or in the description of another class of
    the group, and phrases that are "repeated" from the class's own description or from an earlier group of the class.
    """
    descriptions = {item.class_name: _folded(item.phrases) for item in described}
    known = {name: set(phrases) for name, phrases in descriptions.items()}
    sifted = []
    for item in contrasts:
        name, group = item.topic.class_name, item.topic.group
        of_others = {phrase for other in group if other != name for phrase in descriptions[other]} | {
            phrase
            for other in contrasts
            if other.topic.group == group and other.topic.class_name != name
            for response in other.responses
            for phrase in _folded(response.parsed.phrases)
        }
        responses = [
            replace(response, parsed=_sift(response.parsed, of_others, known[name])) for response in item.responses
        ]
        sifted.append(replace(item, responses=tuple(responses)))
        known[name] |= _folded(sifted[-1].phrases)
    return sifted


def _sift(parsed: Parsed, of_others: Collection[str], known: Collection[str]) -> Parsed:
    phrases: list[str] = []
    dropped = list(parsed.dropped)
    for phrase in parsed.phrases:
        if phrase.casefold() in of_others:
            dropped.append(Dropped(phrase, "said of both"))
        elif phrase.casefold() in known:
            dropped.append(Dropped(phrase, "repeated"))
        else:
            phrases.append(phrase)
    return Parsed(tuple(phrases), tuple(dropped))


def _folded(phrases: Sequence[str]) -> set[str]:
    return {phrase.casefold() for phrase in phrases}
