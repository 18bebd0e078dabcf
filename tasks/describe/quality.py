"""Figures that show whether descriptions are worth clustering; they are rules, and rules err."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tasks.describe.names import spoken_names
from tasks.describe.phrases import Reason, is_unfinished

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_ALIKE = 0.8  # share of common words from which a phrase counts as a copy

# What no photo shows: use and purpose, worth, other senses, the past, law and trade.
_NON_VISUAL = re.compile(
    r"\b(?:"
    r"used (?:for|to|as|by|in)|use of|useful|purpose|intended|designed (?:for|to)|meant (?:for|to)|serves?|"
    r"function(?:s|al)?|provid(?:es?|ing)|allow(?:s|ing)?|enabl(?:es?|ing)|helps?|protects?|"
    r"essential|important|popular|comfort(?:able)?|safe(?:ty)?|valuable|efficient|convenien(?:t|ce)|"
    r"symbol(?:s|ic|izes?)?|cultur(?:e|al)|tradition(?:al)?|histor(?:y|ic|ical)|invented|originally|"
    r"sounds?|noise|noisy|loud|quiet|smell(?:s|y)?|scent(?:ed)?|odou?r|tastes?|delicious|"
    r"price[ds]?|cost(?:s|ly)?|expensive|cheap|legal|regulated|laws?"
    r")\b",
    re.IGNORECASE,
)

# What no description does, and of the 3,919 released with the paper none: it speaks to the reader or of its own words
# ("I added the adjective"), or shouts.
_PERSON = re.compile(r"\b(?:i|we|you|me|my|our|ours|your|yours|yourself|myself|ourselves)\b(?!-)", re.IGNORECASE)
_OWN_WORDS = re.compile(
    r"\b(?:(?:this|the) (?:sentence|adjective|verb|noun|above example)|this (?:phrase|example)|"
    r"short (?:sentence|phrase|paragraph)s?|on each line)\b",
    re.IGNORECASE,
)
_SHOUT = re.compile(r"\b(?:[A-Z]{2,} ){3}[A-Z]{2,}\b")


@dataclass(frozen=True)
class Quality:
    """Figures of one class.

    Attributes:
        descriptions: how many.
        mean_words: length on average.
        longest_words: length of the longest.
        repeats: lines that the answers repeat.
        shared: descriptions that another class has word for word.
        names_class: share that says the class's name.
        example_copies: copies of the prompt's examples, or nearly so.
        non_visual: phrases about use, worth, sound, smell, history or trade.
        unfinished: phrases that end in the middle, those among them that are dropped from the answers for it.
        incoherent: phrases that speak to the reader or of their own words, shout, or repeat themselves.
    """

    descriptions: int
    mean_words: float
    longest_words: int
    repeats: int
    shared: int
    names_class: float
    example_copies: int
    non_visual: int
    unfinished: int
    incoherent: int


def assess(
    phrases: Mapping[str, Sequence[str]], dropped: Mapping[str, Sequence[Reason]], examples: Collection[str] = ()
) -> dict[str, Quality]:
    """The figures of every class.

    Args:
        phrases: class name -> descriptions, at least one.
        dropped: class name -> why lines of its answers are dropped, one by one.
        examples: phrases of the prompt's worked examples.
    """
    owners = Counter(text for texts in phrases.values() for text in {text.casefold() for text in texts})
    spoken = spoken_names(list(phrases))
    model_phrases = [_words(example) for example in examples]
    figures = {}
    for name, texts in phrases.items():
        reasons = Counter(dropped.get(name, ()))
        lengths = [len(text.split()) for text in texts]
        figures[name] = Quality(
            descriptions=len(texts),
            mean_words=sum(lengths) / len(lengths),
            longest_words=max(lengths),
            repeats=reasons["repeated"],
            shared=sum(owners[text.casefold()] > 1 for text in texts),
            names_class=sum(_names(text, spoken[name]) for text in texts) / len(texts),
            example_copies=sum(any(_alike(_words(text), example) for example in model_phrases) for text in texts),
            non_visual=sum(bool(_NON_VISUAL.search(text)) for text in texts),
            unfinished=reasons["unfinished"] + sum(map(is_unfinished, texts)),
            incoherent=sum(map(_is_incoherent, texts)),
        )
    return figures


def _is_incoherent(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_PERSON, _OWN_WORDS, _SHOUT)) or _repeats_itself(text)


def _repeats_itself(text: str) -> bool:
    """Whether a word comes twice in a row, or three words in a row come twice.

    Two words in a row that come twice are no sign: "wider at the top and narrower at the bottom".
    """
    words = _WORD.findall(text.casefold())
    threes = list(zip(words, words[1:], words[2:], strict=False))
    return len(set(threes)) < len(threes) or any(one == next_ for one, next_ in pairwise(words))


def _names(text: str, name: str) -> bool:
    """Whether the text has the class's name in it, also in the plural."""
    return re.search(rf"\b{re.escape(name)}(?:s|es)?\b", text, re.IGNORECASE) is not None


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one | other) and len(one & other) / len(one | other) >= _ALIKE
