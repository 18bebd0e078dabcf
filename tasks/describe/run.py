"""The stage describe: who answers, and what is written."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from tasks.describe import DescribeParams, DescriptorFile
from tasks.describe.contrast import sift_contrasts
from tasks.describe.described import Described, complement, from_answers
from tasks.describe.descriptor_file import read_descriptors
from tasks.describe.estimate import estimate
from tasks.describe.phrases import Dropped, Reason
from tasks.describe.prompt import read_prompt
from tasks.describe.quality import Quality, assess
from tasks.describe.record import response_figures, response_row
from tasks.describe.report import report
from tasks.describe.retrieve import Response, Retrieved, Retriever, make_retriever
from tasks.describe.topics import contrast_topics, description_topics
from tasks.kinds import DESCRIPTIONS
from tasks.progress import Progress
from tasks.stage import StageContext

log = logging.getLogger(__name__)


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Describe every class and write descriptions, raw responses, what was dropped of them, quality and a report."""
    params: DescribeParams = context.params
    if (expected := estimate(params, context.cache)).questions:
        log.info("describe: %s", expected)
    described = _describe(params, context.cache, context.progress)
    responses = _response_rows(described)
    quality = _quality(described, params)
    _warn_of_poor_phrases(described, quality)
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
    summary = _summary(described, quality, responses)
    (context.output / "report.md").write_text(report(described, quality, summary, _source(params)), encoding="utf-8")
    return summary


def _describe(params: DescribeParams, cache: Path, progress: Progress) -> list[Described]:
    describer: Retriever | None = None
    if isinstance(params.provider, DescriptorFile):
        described = read_descriptors(params.provider.path, params.classes)
    else:
        describer = make_retriever(params.provider, params.attempts, cache)
        described = from_answers(describer.retrieve(description_topics(params), progress))
    if params.contraster is None:
        return described
    # One provider for both has one budget for both.
    shared = describer if params.contrast_provider is None else None
    contraster = shared or make_retriever(params.contraster, params.attempts, cache)
    sift = partial(sift_contrasts, described)
    return complement(described, contraster.retrieve(contrast_topics(params), progress, sift))


def _source(params: DescribeParams) -> str:
    provider = params.provider
    source = f"file {provider.path.name}" if isinstance(provider, DescriptorFile) else provider.model
    own = params.contrast_provider if params.contrast else None
    return f"{source}, contrasts from {own.model}" if own else source


def _quality(described: Sequence[Described], params: DescribeParams) -> dict[str, Quality]:
    examples: set[str] = set()
    if params.prompt is not None and params.describer is not None:
        examples = {phrase for phrases in read_prompt(params.prompt).examples().values() for phrase in phrases}
    dropped: defaultdict[str, list[Reason]] = defaultdict(list)
    for item, *_, line in _dropped(described):
        dropped[item.class_name].append(line.reason)
    return assess({item.class_name: item.phrases for item in described}, dropped, examples)


def _responses(described: Sequence[Described]) -> Iterator[tuple[Described, Retrieved, Response]]:
    return (
        (item, retrieved, response)
        for item in described
        for retrieved in item.retrieved
        for response in retrieved.responses
    )


def _warn_of_poor_phrases(described: Sequence[Described], quality: Mapping[str, Quality]) -> None:
    cut = Counter(item.class_name for item, *_, line in _dropped(described) if line.reason == "unfinished")
    poor = [
        name
        for name, figures in quality.items()
        if figures.unfinished + figures.incoherent > (figures.descriptions + cut[name]) / 2
    ]
    if poor:
        log.warning(
            "describe: most phrases of %s are unfinished or incoherent (columns of the report): read them, and try "
            "another prompt or a larger model", ", ".join(map(repr, poor)),
        )  # fmt: skip


def _dropped(described: Sequence[Described]) -> Iterator[tuple[Described, Retrieved, Response, Dropped]]:
    return ((*found, line) for found in _responses(described) for line in found[-1].parsed.dropped)


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
            "purpose": retrieved.topic.purpose,
            "attempt": response.attempt,
            "line": line.line,
            "reason": line.reason,
        }
        for item, retrieved, response, line in _dropped(described)
    )


def _response_rows(described: Sequence[Described]) -> list[dict[str, Any]]:
    ids = {item.class_name: class_id for class_id, item in enumerate(described)}
    return [
        {
            "class_id": ids[item.class_name],
            "class_name": item.class_name,
            "purpose": retrieved.topic.purpose,
            **response_row(
                retrieved.provider,
                response.question,
                response.answer,
                attempt=response.attempt,
                new=response.new,
                prompt_hash=retrieved.topic.prompt_hash,
            ),
        }
        for item, retrieved, response in _responses(described)
    ]


def _summary(
    described: Sequence[Described], quality: Mapping[str, Quality], responses: Sequence[Mapping[str, Any]]
) -> dict[str, JsonValue]:
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
        "unfinished": sum(figures.unfinished for figures in quality.values()),
        "incoherent": sum(figures.incoherent for figures in quality.values()),
        "shared": sum(figures.shared for figures in quality.values()),
        "dropped_lines": sum(1 for _ in _dropped(described)),
        **response_figures(responses),
    }
