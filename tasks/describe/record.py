"""How answers are put on record, whatever was asked: raw in a table, summed up in headline figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import JsonValue

from tasks.describe.answers import Answer, Provider, Question


def response_row(
    provider: Provider, question: Question, answer: Answer, *, attempt: int, new: bool, prompt_hash: str
) -> dict[str, Any]:
    """An answer as it came, with all that it was asked by: the columns that every table of answers has."""
    parameters = {
        **provider.identity,
        "seed": question.seed,
        "temperature": question.temperature,
        "max_tokens": question.max_tokens,
    }
    return {
        "attempt": attempt,
        "model": provider.model,
        "answered_by": answer.model,
        "parameters": json.dumps(parameters, sort_keys=True),
        "prompt_hash": prompt_hash,
        "system": question.system,
        "prompt": question.user,
        "text": answer.text,
        "cut_off": answer.cut_off,
        "new": new,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "seconds": answer.seconds,
        "cost": answer.cost,
    }


def response_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, JsonValue]:
    """What the answers in such a table took: tokens of all, cost of those that are new, None without prices."""
    costs = [row["cost"] for row in rows if row["new"] and row["cost"] is not None]
    return {
        "requests": sum(row["new"] for row in rows),
        "answers_from_cache": sum(not row["new"] for row in rows),
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "completion_tokens": sum(row["completion_tokens"] for row in rows),
        "cost": round(sum(costs), 6) if costs else None,
    }
