"""From a language model's answer to its phrases."""

from __future__ import annotations

import re

_BULLET = re.compile(r"\s*(?:[-*+•‣◦·–—]|\(?\d{1,2}[.):])\s+(?=\S)")
_WORD = re.compile(r"[^\W\d_]{2,}")
_WRAPPING = " \t\"'`“”‘’*_"
_TRAILING = " \t.;,:"


def parse_phrases(answer: str, *, cut_off: bool = False, line_limit: int | None = None) -> tuple[str, ...]:
    """The phrases of an answer, in order, each once.

    Lines with a bullet or a number count; when there are none, every line after the last heading counts.
    Quotes, emphasis and trailing dots are stripped; what has no word in it is dropped.

    Args:
        answer: the model's text.
        cut_off: the answer stopped in the middle; its last line is dropped.
        line_limit: length at which a grammar stopped a phrase, perhaps within a word: that last word is dropped.
    """
    lines = [line for line in answer.splitlines() if line.strip()]
    if cut_off:
        lines = lines[:-1]
    phrases: dict[str, str] = {}
    for line in _items(lines):
        phrase = _clean(_within(line, line_limit))
        if _WORD.search(phrase):
            phrases.setdefault(phrase.casefold(), phrase)
    return tuple(phrases.values())


def _items(lines: list[str]) -> list[str]:
    bulleted = [_BULLET.sub("", line, count=1) for line in lines if _BULLET.match(line)]
    if bulleted:
        return bulleted
    headings = [index for index, line in enumerate(lines) if line.rstrip(" *_").endswith(":")]
    return lines[headings[-1] + 1 :] if headings else lines


def _within(phrase: str, limit: int | None) -> str:
    if limit is None or len(phrase) < limit:
        return phrase
    return phrase.rpartition(" ")[0]


def _clean(phrase: str) -> str:
    # Twice, because a dot may stand within the quotes or behind them.
    for _ in range(2):
        phrase = phrase.strip(_WRAPPING).rstrip(_TRAILING)
    return " ".join(phrase.split())
