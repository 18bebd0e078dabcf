"""Names of properties: the most central phrase, or what a language model calls the members."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tasks.cluster import ClusterParams, Medoid
from tasks.cluster.properties import Clusters
from tasks.describe.answers import AnswerCache, Question
from tasks.describe.grammar import phrase_grammar
from tasks.describe.phrases import parse_phrases
from tasks.describe.providers import make_provider
from tasks.progress import Progress

log = logging.getLogger(__name__)

_SYSTEM = "You are a careful editor who gives short names to groups of phrases."
_USER = """\
Each of these phrases says how something looks. Together they make up one visual property:

{members}

Name the property that the phrases share in two to eight words, such as "Covered in short fur" or "Flat paved surface".
Do not name the things that have it, and do not explain. Answer with the name alone."""
_SHOWN_MEMBERS = 25
_LONGEST_NAME = 60  # letters
_ATTEMPTS = 3
_RETRY_TEMPERATURE = 0.7  # a greedy model would give the same bad answer to another seed


def medoid_names(clusters: Clusters, texts: Sequence[str]) -> list[str]:
    """Name of each cluster: its most central phrase, with a number where another one has it, too."""
    return unique([texts[rows[0]] for rows in _central_first(clusters)])


def name_properties(
    clusters: Clusters, texts: Sequence[str], params: ClusterParams, cache: Path, progress: Progress
) -> list[str]:
    """Name of each cluster, no two alike whatever their case.

    A property whose members a language model gives no usable name keeps its medoid's, and the log says so.

    Raises:
        InputError: the language model is not there or refuses.
        ProviderError: no answer for a reason that may pass; the answers so far are kept.
    """
    if isinstance(params.naming, Medoid):
        return medoid_names(clusters, texts)
    medoids = [texts[rows[0]] for rows in _central_first(clusters)]
    provider = make_provider(params.naming, cache)
    answers = AnswerCache(cache / "answers", provider)
    line_limit = _LONGEST_NAME if provider.uses_grammar else None

    def name(rows: Sequence[int]) -> str | None:
        for attempt in range(_ATTEMPTS):
            question = _question([texts[row] for row in rows], params, attempt)
            answer, _ = answers.answer(question)
            parsed = parse_phrases(answer.text, question.subject, cut_off=answer.cut_off, line_limit=line_limit)
            if parsed.phrases and len(parsed.phrases[0]) <= _LONGEST_NAME:
                return parsed.phrases[0]
        return None

    names: list[str | None] = []
    pool = ThreadPoolExecutor(provider.concurrency, thread_name_prefix="name")
    try:
        with progress.bar("name", total=len(medoids), unit="properties") as bar:
            for future in [pool.submit(name, rows) for rows in _central_first(clusters)]:
                names.append(future.result())
                bar.advance()
    except BaseException:
        provider.give_up()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    if without := [medoid for medoid, given in zip(medoids, names, strict=True) if given is None]:
        log.warning(
            "%s gave no usable name to %d properties, which keep their medoids': %s",
            provider.model, len(without), "; ".join(without),
        )  # fmt: skip
    return unique(given or medoid for given, medoid in zip(names, medoids, strict=True))


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
