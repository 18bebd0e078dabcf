"""From a language model's answer to its phrases, and to what is dropped of it and why."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "no words",
    "heading",
    "no bullet",
    "other class",
    "repeated",
    "cut off",
    "unfinished",
    "too long",
    "only the name",
    "refusal",
    "chatter",
    "said of both",
]

LONGEST = 40  # words; the longest of the 3,919 descriptions that were released with the paper has 26

_THOUGHTS = re.compile(r"\A.*</think>", re.DOTALL)  # of models that reason aloud before they answer
_BULLET = re.compile(r"\s*(?:(?:[-*+•‣◦·▪●–—]|\(?(?:\d{1,2}|[a-zA-Z])[.):])\s+(?=\S)|[•‣▪●]|-(?=[A-Za-z]))")
_MARKDOWN_HEADING = re.compile(r"\s*#+\s")
_LABEL = re.compile(r"\*\*[^*]{1,40}?(?::\*\*|\*\*\s*:)\s*(?=\S)")
_EMPHASIS = re.compile(r"\*\*|__")
_WORD = re.compile(r"[^\W\d_]{2,}")
# What cannot end a phrase; of the 3,919 that were released with the paper none ends so. Words that may stand at the end
# of one in another part ("a switch to turn it on", "as wide as it is", "to look out of") are not among them.
_OPEN_END = re.compile(
    r"\b(?:"
    r"an?|the|its|their|his|my|our|your|every|"
    r"and|or|nor|but|because|than|if|when|where|while|whose|which|that|as|"
    r"at|for|with|into|onto|to|by|via|towards?|per|such|including|(?<!\bout )of"
    r")\W*\Z",
    re.IGNORECASE,
)
_ROOM = 8  # letters that a further word takes; a grammar stops a phrase that has less room left
_QUOTES = "\"'`“”‘’«»"
_TRAILING = " \t*_.;,:"
_REFUSAL = re.compile(
    r"(?:(?:i['’]m|i am) (?:sorry|unable|not able)|sorry|as an ai|i (?:cannot|can['’]?t|won['’]t)|i apologi[sz]e)\b",
    re.IGNORECASE,
)
_CHATTER = re.compile(
    r"(?:sure|certainly|of course|here (?:is|are)|here['’]s|i hope|let me know|feel free|please let)\b|```",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Dropped:
    """A line that is no description, and why."""

    line: str
    reason: Reason


@dataclass(frozen=True)
class Parsed:
    """The phrases of an answer, in order, each once, and its other lines."""

    phrases: tuple[str, ...]
    dropped: tuple[Dropped, ...]


def parse_phrases(
    answer: str,
    subject: str,
    *,
    others: Collection[str] = (),
    cut_off: bool = False,
    line_limit: int | None = None,
) -> Parsed:
    """The phrases of an answer, in order, each once.

    Lines with a bullet or a number count, with the indented lines that go on with them; where there are none, all
    lines count but headings and what stands before the first of them. What stands below the heading of another class
    is not of this one. Quotes, emphasis, emphasised labels ("**Colour:** blue") and trailing dots are stripped.

    Args:
        answer: the model's text.
        subject: the class as the model was asked about it.
        others: names, as the model knows them, of other classes that it may run on into.
        cut_off: the answer stopped in the middle; its last line is dropped.
        line_limit: length at which a grammar stops a phrase, perhaps within a word, unless a dot ends it before.
    """
    known = {name.casefold() for name in others} - {subject.casefold()}
    lines = _lines(_THOUGHTS.sub("", answer))
    phrases: dict[str, str] = {}
    dropped: list[Dropped] = []
    for index, (line, misplaced) in enumerate(zip(lines, _misplaced(lines, subject.casefold(), known), strict=True)):
        text = _BULLET.sub("", line, count=1)
        phrase = _clean(text)
        label, colon, rest = phrase.partition(":")
        if colon and label.casefold() == subject.casefold():
            phrase = rest.strip()
        reason = misplaced or _fault(phrase, subject)
        if cut_off and index == len(lines) - 1:
            reason = "cut off"
        elif reason is None and _breaks_off(text, line_limit):
            reason = "unfinished"
        elif reason is None and colon and label.casefold() in known:
            reason = "other class"
        elif reason is None and phrase.casefold() in phrases:
            reason = "repeated"
        if reason is None:
            phrases[phrase.casefold()] = phrase
        else:
            dropped.append(Dropped(line.strip(), reason))
    return Parsed(tuple(phrases.values()), tuple(dropped))


def is_unfinished(phrase: str) -> bool:
    """Whether the last word calls for more: an article, a possessive, a conjunction, "such as"."""
    return _OPEN_END.search(phrase) is not None


def _lines(answer: str) -> list[str]:
    """The lines that are not blank; an indented line below a bullet goes on with it."""
    lines: list[str] = []
    for line in answer.splitlines():
        if lines and line[:1].isspace() and line.strip() and not _BULLET.match(line) and _BULLET.match(lines[-1]):
            lines[-1] = f"{lines[-1].rstrip()} {line.strip()}"
        elif line.strip():
            lines.append(line)
    return lines


def _misplaced(lines: list[str], subject: str, others: Collection[str]) -> list[Reason | None]:
    """For every line, why it is none of this class's phrases for where it stands, if it is not."""
    headings = [_heading(line, {subject, *others}) for line in lines]
    bulleted = any(_BULLET.match(line) and heading is None for line, heading in zip(lines, headings, strict=True))
    own = [index for index, heading in enumerate(headings) if heading is not None and heading not in others]
    start = own[0] if own and not bulleted else 0
    reasons: list[Reason | None] = []
    elsewhere = False
    for index, (line, heading) in enumerate(zip(lines, headings, strict=True)):
        if heading is not None:
            elsewhere = heading in others or (elsewhere and heading != subject)
        reason: Reason | None = None
        if elsewhere:
            reason = "other class"
        elif heading is not None:
            reason = "heading"
        elif _REFUSAL.match(line.strip()):
            reason = "refusal"
        elif _CHATTER.match(line.strip()):
            reason = "chatter"
        elif index < start or (bulleted and not _BULLET.match(line)):
            reason = "no bullet"
        reasons.append(reason)
    return reasons


def _heading(line: str, names: Collection[str]) -> str | None:
    """What a heading says, in small letters; None for a line that is none.

    A heading ends with a colon, or begins with #, or is the name of a class alone in a line without a bullet.
    """
    text = _BULLET.sub("", line, count=1)
    name = text.strip(" \t#*_:").casefold()
    if text.rstrip(" \t*_").endswith(":") or _MARKDOWN_HEADING.match(line):
        return name
    return name if name in names and not _BULLET.match(line) else None


def _fault(phrase: str, subject: str) -> Reason | None:
    if not _WORD.search(phrase):
        return "no words"
    if _REFUSAL.match(phrase):
        return "refusal"
    if phrase.casefold() == subject.casefold():
        return "only the name"
    if is_unfinished(phrase):
        return "unfinished"
    return "too long" if len(phrase.split()) > LONGEST else None


def _breaks_off(text: str, limit: int | None) -> bool:
    """A dot ends a phrase, but for one that fills the line: there, nothing else was left to say."""
    if limit is None:
        return False
    return len(text.removesuffix(".")) >= limit - (0 if text.endswith(".") else _ROOM)


def _clean(phrase: str) -> str:
    phrase = _EMPHASIS.sub("", _LABEL.sub("", phrase))
    bare = phrase.strip(" \t*_")
    # A quote that closes goes with the one that opens: the last word may be quoted alone.
    trailing = _TRAILING + _QUOTES if bare.startswith(tuple(_QUOTES)) else _TRAILING
    return " ".join(bare.lstrip(_QUOTES + " ").rstrip(trailing).split())
