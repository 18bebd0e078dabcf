"""The stage describe: who answers, and what is written."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from tasks.describe import DescribeParams, DescriptorFile
from tasks.describe.answers import Provider
from tasks.describe.described import Described, Reading, put_together
from tasks.describe.descriptor_file import read_descriptors
from tasks.describe.estimate import estimate_topics, make_retriever
from tasks.describe.prompt import read_prompt
from tasks.describe.quality import Quality, assess
from tasks.describe.report import report
from tasks.describe.topics import make_topics
from tasks.kinds import DESCRIPTIONS
from tasks.stage import StageContext

log = logging.getLogger(__name__)


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Describe every class and write descriptions, raw responses, what was dropped of them, quality and a report."""
    params: DescribeParams = context.params
    responses: list[dict[str, Any]] = []
    if isinstance(params.provider, DescriptorFile):
        described = read_descriptors(params.provider.path, params.classes)
        source = f"file {params.provider.path.name}"
    else:
        topics = make_topics(params)
        retriever = make_retriever(params, context.cache)
        log.info("describe: %s", estimate_topics(params, topics, retriever))
        described = put_together(params.classes, retriever.retrieve(topics, context.progress))
        source = retriever.provider.model
        responses = list(_response_rows(described, retriever.provider))
    quality = _quality(described, params)
    rows = {
        "descriptions.parquet": _description_rows(described),
        "responses.parquet": responses,
        "dropped.parquet": _dropped_rows(described),
        "quality.parquet": [
            {"class_id": class_id, "class_name": item.class_name, **asdict(quality[item.class_name])}
            for class_id, item in enumerate(described)
        ],
    }
    for name, table in rows.items():
        pq.write_table(pa.Table.from_pylist(list(table), DESCRIPTIONS.tables[name]), context.output / name)
    summary = _summary(described, quality)
    (context.output / "report.md").write_text(report(described, quality, summary, source), encoding="utf-8")
    return summary


def _quality(described: Sequence[Described], params: DescribeParams) -> dict[str, Quality]:
    examples: set[str] = set()
    if params.prompt is not None and not isinstance(params.provider, DescriptorFile):
        examples = {phrase for phrases in read_prompt(params.prompt).examples().values() for phrase in phrases}
    repeats = Counter(item.class_name for item, _, line in _dropped(described) if line.reason == "repeated")
    return assess({item.class_name: item.phrases for item in described}, repeats, examples)


def _dropped(described: Sequence[Described]) -> Iterator[tuple[Described, Reading, Any]]:
    return ((item, reading, line) for item in described for reading in item.readings for line in reading.dropped)


def _description_rows(described: Sequence[Described]) -> Iterable[dict[str, Any]]:
    return (
        {"class_id": class_id, "class_name": item.class_name, "position": position, "text": text}
        for class_id, item in enumerate(described)
        for position, text in enumerate(item.phrases)
    )


def _dropped_rows(described: Sequence[Described]) -> Iterable[dict[str, Any]]:
    ids = {item.class_name: class_id for class_id, item in enumerate(described)}
    return (
        {
            "class_id": ids[item.class_name],
            "class_name": item.class_name,
            "purpose": reading.purpose,
            "attempt": reading.response.attempt,
            "line": line.line,
            "reason": line.reason,
        }
        for item, reading, line in _dropped(described)
    )


def _response_rows(described: Sequence[Described], provider: Provider) -> Iterable[dict[str, Any]]:
    for class_id, item in enumerate(described):
        for reading in item.readings:
            question, answer = reading.response.question, reading.response.answer
            parameters = {
                **provider.identity,
                "seed": question.seed,
                "temperature": question.temperature,
                "max_tokens": question.max_tokens,
            }
            yield {
                "class_id": class_id,
                "class_name": item.class_name,
                "purpose": reading.purpose,
                "attempt": reading.response.attempt,
                "model": provider.model,
                "answered_by": answer.model,
                "parameters": json.dumps(parameters, sort_keys=True),
                "prompt_hash": reading.prompt_hash,
                "system": question.system,
                "prompt": question.user,
                "text": answer.text,
                "cut_off": answer.cut_off,
                "new": reading.response.new,
                "prompt_tokens": answer.prompt_tokens,
                "completion_tokens": answer.completion_tokens,
                "seconds": answer.seconds,
                "cost": answer.cost,
            }


def _summary(described: Sequence[Described], quality: Mapping[str, Quality]) -> dict[str, JsonValue]:
    responses = [reading.response for item in described for reading in item.readings]
    costs = [response.answer.cost for response in responses if response.new and response.answer.cost is not None]
    descriptions = sum(len(item.phrases) for item in described)
    named = sum(figures.names_class * figures.descriptions for figures in quality.values())
    return {
        "classes": len(described),
        "descriptions": descriptions,
        "mean_words": round(
            sum(figures.mean_words * figures.descriptions for figures in quality.values()) / descriptions, 2
        ),
        "names_class": round(named / descriptions, 4),
        "non_visual": sum(figures.non_visual for figures in quality.values()),
        "example_copies": sum(figures.example_copies for figures in quality.values()),
        "shared": sum(figures.shared for figures in quality.values()),
        "dropped_lines": sum(1 for _ in _dropped(described)),
        "requests": sum(response.new for response in responses),
        "answers_from_cache": sum(not response.new for response in responses),
        "prompt_tokens": sum(response.answer.prompt_tokens for response in responses),
        "completion_tokens": sum(response.answer.completion_tokens for response in responses),
        "cost": round(sum(costs), 6) if costs else None,
    }
