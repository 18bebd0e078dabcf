"""Names of properties: the most central phrase, or what a language model calls the members."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import JsonValue

from artifacts.canonical import json_hash
from tasks.cluster import ClusterParams, Medoid
from tasks.cluster.properties import Clusters
from tasks.describe.answers import AnswerCache, Question
from tasks.describe.grammar import phrase_grammar
from tasks.describe.phrases import parse_phrases
from tasks.describe.providers import make_provider
from tasks.describe.record import response_figures, response_row
from tasks.progress import Progress

log = logging.getLogger(__name__)

_SYSTEM = "You are a careful editor who gives short names to groups of phrases."
_USER = """\
Each of these phrases says how something looks. Together they make up one visual property:

{members}

Name the property that the phrases share in two to eight words, such as "Covered in short fur" or "Flat paved surface".
Do not name the things that have it, and do not explain. Answer with the name alone."""
_PROMPT_HASH = json_hash({"system": _SYSTEM, "user": _USER})
_SHOWN_MEMBERS = 25
_LONGEST_NAME = 60  # letters
_ATTEMPTS = 3
_RETRY_TEMPERATURE = 0.7  # a greedy model would give the same bad answer to another seed


@dataclass(frozen=True)
class Naming:
    """Names of K properties, and where they come from.

    Attributes:
        names: no two alike whatever their case.
        namer: who gave them, as in "Named by ...".
        responses: rows of `naming.parquet`: the answers of the language model that was asked, if one was.
    """

    names: Sequence[str]
    namer: str
    responses: Sequence[Mapping[str, Any]] = ()

    @property
    def figures(self) -> dict[str, JsonValue]:
        """What a language model's names took, and how many properties kept their medoid's; empty without one."""
        if not self.responses:
            return {}
        asked = {row["property_id"] for row in self.responses}
        kept = asked - {row["property_id"] for row in self.responses if row["name"]}
        return {"named_by_medoid": len(kept), **response_figures(self.responses)}


def name_by_medoids(clusters: Clusters, texts: Sequence[str]) -> Naming:
    """Name of each cluster: its most central phrase, with a number where another one has it, too."""
    return Naming(unique([texts[rows[0]] for rows in _central_first(clusters)]), "their most central descriptions")


def name_properties(
    clusters: Clusters, texts: Sequence[str], params: ClusterParams, cache: Path, progress: Progress
) -> Naming:
    """Name of each cluster, no two alike whatever their case.

    A property whose members a language model gives no usable name keeps its medoid's, and the log says so.

    Raises:
        InputError: the language model is not there or refuses.
        ProviderError: no answer for a reason that may pass; the answers so far are kept.
    """
    if isinstance(params.naming, Medoid):
        return name_by_medoids(clusters, texts)
    groups = _central_first(clusters)
    provider = make_provider(params.naming, cache)
    answers = AnswerCache(cache / "answers", provider)
    line_limit = _LONGEST_NAME if provider.uses_grammar else None

    def ask(property_id: int, members: Sequence[int]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for attempt in range(_ATTEMPTS):
            question = _question([texts[row] for row in members], params, attempt)
            answer, new = answers.answer(question)
            parsed = parse_phrases(answer.text, question.subject, cut_off=answer.cut_off, line_limit=line_limit)
            name = next((phrase for phrase in parsed.phrases[:1] if len(phrase) <= _LONGEST_NAME), None)
            row = response_row(provider, question, answer, attempt=attempt, new=new, prompt_hash=_PROMPT_HASH)
            rows.append({"property_id": property_id, "name": name, **row})
            if name is not None:
                break
        return rows

    asked: list[list[dict[str, Any]]] = []
    pool = ThreadPoolExecutor(provider.concurrency, thread_name_prefix="name")
    try:
        with progress.bar("name", total=len(groups), unit="properties") as bar:
            for future in [pool.submit(ask, *group) for group in enumerate(groups)]:
                asked.append(future.result())
                bar.advance()
    except BaseException:
        provider.give_up()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    given = [rows[-1]["name"] for rows in asked]
    medoids = [texts[members[0]] for members in groups]
    if without := [medoid for medoid, name in zip(medoids, given, strict=True) if name is None]:
        log.warning(
            "%s gave no usable name to %d properties, which keep their medoids': %s",
            provider.model, len(without), "; ".join(without),
        )  # fmt: skip
    names = unique(name or medoid for name, medoid in zip(given, medoids, strict=True))
    return Naming(names, provider.model, [row for rows in asked for row in rows])


def unique(names: Iterable[str]) -> list[str]:
    """The names; one that occurs again, whatever its case, gets a number."""
    taken: dict[str, str] = {}
    for name in names:
        numbered, repeat = name, 1
        while numbered.casefold() in taken:
            repeat += 1
            numbered = f"{name} ({repeat})"
        taken[numbered.casefold()] = numbered
    return list(taken.values())


def _central_first(clusters: Clusters) -> list[list[int]]:
    """Members of each cluster, the nearest to its centre first."""
    # The two members of a pair are equally near: the first one leads, not the last bit of a rounding.
    distances = np.round(clusters.distances, 4)
    order = np.lexsort((distances, clusters.members))
    ends = np.cumsum(clusters.sizes)[:-1]
    return [rows.tolist() for rows in np.split(order, ends)]


def _question(members: Sequence[str], params: ClusterParams, attempt: int) -> Question:
    assert not isinstance(params.naming, Medoid)
    shown = list(dict.fromkeys(members))[:_SHOWN_MEMBERS]
    temperature = params.naming.temperature
    return Question(
        subject=f"the property of {shown[0]!r}",
        system=_SYSTEM,
        user=_USER.format(members="\n".join(f"- {text}" for text in shown)),
        seed=params.naming.seed + attempt,
        temperature=max(temperature, _RETRY_TEMPERATURE) if attempt else temperature,
        max_tokens=40,
        grammar=phrase_grammar(_LONGEST_NAME),
    )
