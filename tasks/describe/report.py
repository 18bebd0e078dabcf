"""The stage's report: every class with its descriptions, their quality, and what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pydantic import JsonValue

from tasks.describe.described import Described
from tasks.describe.quality import Quality
from tasks.markdown import items, table

_SHOWN_DROPPED = 100
_SHOWN_LETTERS = 120


def report(
    described: Sequence[Described], quality: Mapping[str, Quality], summary: Mapping[str, JsonValue], source: str
) -> str:
    """The report as markdown."""
    cost = "" if summary["cost"] is None else f", cost {summary['cost']:.4g}"
    again = [item.class_name for item in described if any(len(found.responses) > 1 for found in item.retrieved)]
    parts = [
        f"# {summary['descriptions']} descriptions of {summary['classes']} classes",
        f"From {source}: {summary['requests']} requests{cost}, {summary['answers_from_cache']} answers from the cache.",
    ]
    if again:
        parts.append(f"**Asked more than once** (too few usable phrases at first): {', '.join(again)}.")
    parts.append(items((item.class_name, "; ".join(item.phrases)) for item in described))
    parts += ["## Quality", _quality(described, quality)]
    parts += _dropped(described)
    return "\n\n".join(parts)


def _quality(described: Sequence[Described], quality: Mapping[str, Quality]) -> str:
    header = (
        "class", "count", "mean words", "longest", "repeated lines", "shared with a class", "say its name",
        "copied examples", "not visual", "unfinished", "incoherent",
    )  # fmt: skip
    rows = []
    for item in described:
        figures = quality[item.class_name]
        rows.append(
            (
                item.class_name,
                figures.descriptions,
                f"{figures.mean_words:.1f}",
                figures.longest_words,
                figures.repeats,
                figures.shared,
                f"{figures.names_class:.0%}",
                figures.example_copies,
                figures.non_visual,
                figures.unfinished,
                figures.incoherent,
            )
        )
    return table(header, rows)


def _dropped(described: Sequence[Described]) -> list[str]:
    rows = [
        (item.class_name, retrieved.topic.purpose, line.reason, line.line[:_SHOWN_LETTERS])
        for item in described
        for retrieved in item.retrieved
        for response in retrieved.responses
        for line in response.parsed.dropped
    ]
    if not rows:
        return []
    reasons = ", ".join(f"{reason} {count}" for reason, count in Counter(row[2] for row in rows).most_common())
    more = [f"and {len(rows) - _SHOWN_DROPPED} more in dropped.parquet"] if len(rows) > _SHOWN_DROPPED else []
    shown = table(("class", "asked for", "reason", "line"), rows[:_SHOWN_DROPPED])
    return ["## Dropped lines", f"{len(rows)} lines of the answers are no descriptions: {reasons}.", shown, *more]
