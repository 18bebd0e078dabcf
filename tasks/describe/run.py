"""The stage describe: who answers, and what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from artifacts import FileHashes
from tasks.describe import DescribeParams, DescriptorFile, LlamaCpp
from tasks.describe.answers import AnswerCache, Provider
from tasks.describe.descriptor_file import read_descriptors
from tasks.describe.llama_cpp_provider import LlamaCppProvider
from tasks.describe.openai_provider import OpenAIProvider
from tasks.describe.prompt import read_prompt
from tasks.describe.retrieve import Described, Retriever
from tasks.kinds import DESCRIPTIONS
from tasks.markdown import table
from tasks.stage import StageContext


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Describe every class and write descriptions, raw responses and a report."""
    params: DescribeParams = context.params
    if isinstance(params.provider, DescriptorFile):
        described = read_descriptors(params.provider.path, params.classes)
        source = f"file {params.provider.path.name}"
        responses = pa.Table.from_pylist([], DESCRIPTIONS.tables["responses.parquet"])
    else:
        retriever = _retriever(params, context.cache)
        described = retriever.describe_all(params.classes, context.progress)
        source = retriever.provider.model
        responses = _response_table(described, retriever)
    pq.write_table(_description_table(described), context.output / "descriptions.parquet")
    pq.write_table(responses, context.output / "responses.parquet")
    summary = _summary(described)
    (context.output / "report.md").write_text(_report(described, summary, source), encoding="utf-8")
    return summary


def _retriever(params: DescribeParams, cache: Path) -> Retriever:
    assert params.prompt is not None and not isinstance(params.provider, DescriptorFile)  # by validation
    provider: Provider
    if isinstance(params.provider, LlamaCpp):
        provider = LlamaCppProvider(params.provider, FileHashes(cache / "model_hashes.json"))
    else:
        provider = OpenAIProvider(params.provider)
    return Retriever(
        provider=provider,
        cache=AnswerCache(cache / "answers", provider),
        prompt=read_prompt(params.prompt),
        seed=params.provider.seed,
        temperature=params.provider.temperature,
        min_phrases=params.min_descriptions,
        attempts=params.attempts,
    )


def _description_table(described: Sequence[Described]) -> pa.Table:
    rows = [
        {"class_id": class_id, "class_name": item.class_name, "position": position, "text": text}
        for class_id, item in enumerate(described)
        for position, text in enumerate(item.phrases)
    ]
    return pa.Table.from_pylist(rows, DESCRIPTIONS.tables["descriptions.parquet"])


def _response_table(described: Sequence[Described], retriever: Retriever) -> pa.Table:
    rows = [
        {
            "class_id": class_id,
            "class_name": item.class_name,
            "attempt": response.attempt,
            "model": retriever.provider.model,
            "prompt_hash": retriever.prompt.hash,
            "prompt": f"{response.question.system}\n\n{response.question.user}",
            "text": response.answer.text,
            "prompt_tokens": response.answer.prompt_tokens,
            "completion_tokens": response.answer.completion_tokens,
            "seconds": response.answer.seconds,
        }
        for class_id, item in enumerate(described)
        for response in item.responses
    ]
    return pa.Table.from_pylist(rows, DESCRIPTIONS.tables["responses.parquet"])


def _summary(described: Sequence[Described]) -> dict[str, JsonValue]:
    responses = [response for item in described for response in item.responses]
    return {
        "classes": len(described),
        "descriptions": sum(len(item.phrases) for item in described),
        "requests": sum(response.new for response in responses),
        "answers_from_cache": sum(not response.new for response in responses),
        "prompt_tokens": sum(response.answer.prompt_tokens for response in responses),
        "completion_tokens": sum(response.answer.completion_tokens for response in responses),
    }


def _report(described: Sequence[Described], summary: Mapping[str, JsonValue], source: str) -> str:
    repeated = [item.class_name for item in described if len(item.responses) > 1]
    lines = [
        f"# {summary['descriptions']} descriptions of {summary['classes']} classes",
        f"From {source}: {summary['requests']} requests, {summary['answers_from_cache']} answers from the cache.",
    ]
    if repeated:
        lines.append(f"**Asked more than once** (too few usable phrases at first): {', '.join(repeated)}.")
    rows = [(item.class_name, len(item.phrases), "; ".join(item.phrases)) for item in described]
    return "\n\n".join([*lines, table(("class", "count", "descriptions"), rows)])
