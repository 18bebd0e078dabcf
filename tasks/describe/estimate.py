"""What describing would ask and cost, before it starts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks.describe import DescribeParams, DescriptorFile, LlamaCpp, OpenAI
from tasks.describe.budget import NOTHING, Usage, count_tokens
from tasks.describe.contrast import sift_contrasts
from tasks.describe.described import Described, from_answers
from tasks.describe.descriptor_file import read_descriptors
from tasks.describe.retrieve import make_retriever
from tasks.describe.topics import Topic, contrast_topics, description_topics

_TOKENS_PER_ANSWER = 130  # the descriptions released with the paper, by class, with bullets and the odd preamble


@dataclass(frozen=True)
class Estimate:
    """What is to be asked.

    Attributes:
        questions: one for each class, and one for each class to contrast.
        kept: of these, the ones that the cache answers.
        likely: requests and tokens if every answer is usable and as long as usual.
        most: requests and tokens if every attempt is needed and every answer as long as it may be.
        likely_cost: money; None if prices are unknown.
        most_cost: money; None if prices are unknown.
    """

    questions: int = 0
    kept: int = 0
    likely: Usage = NOTHING
    most: Usage = NOTHING
    likely_cost: float | None = 0.0
    most_cost: float | None = 0.0

    def __str__(self) -> str:
        tokens = self.likely.prompt_tokens + self.likely.completion_tokens
        most = self.most.prompt_tokens + self.most.completion_tokens
        text = (
            f"{self.questions} questions, {self.kept} of them answered in the cache; about {self.likely.requests} "
            f"requests and {tokens:,} tokens, at most {self.most.requests} and {most:,}"
        )
        if not self.likely_cost or not self.most_cost:
            return text
        return f"{text}; costs about {self.likely_cost:.4g}, at most {self.most_cost:.4g}"

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(
            self.questions + other.questions,
            self.kept + other.kept,
            self.likely + other.likely,
            self.most + other.most,
            _sum(self.likely_cost, other.likely_cost),
            _sum(self.most_cost, other.most_cost),
        )


def estimate(params: DescribeParams, cache: Path) -> Estimate:
    """What the stage would ask with these parameters, given the answers in its cache folder; needs no key.

    Raises:
        InputError: a file of the parameters is missing or wrong.
    """
    described: Sequence[Described] = ()
    figures = Estimate()
    if params.describer is not None:
        topics = description_topics(params)
        retriever = make_retriever(params.describer, params.attempts, cache)
        kept = retriever.retrieve_kept(topics)
        described = from_answers(kept)
        open_topics = [item.topic for item in kept if retriever.is_open(item)]
        figures += _estimate(params.describer, params.attempts, topics, open_topics, open_topics)
    elif isinstance(params.provider, DescriptorFile) and params.contraster is not None:
        described = read_descriptors(params.provider.path, params.classes)
    if params.contraster is not None:
        topics = contrast_topics(params)
        retriever = make_retriever(params.contraster, params.attempts, cache)
        kept = retriever.retrieve_kept(topics, partial(sift_contrasts, described))
        open_topics = [item.topic for item in kept if retriever.is_open(item)]
        # What is usable depends on all other answers: one that is still to come may send every topic back.
        perhaps = topics if open_topics or figures.likely.requests else []
        figures += _estimate(params.contraster, params.attempts, topics, open_topics, perhaps)
    return figures


def _estimate(
    provider: LlamaCpp | OpenAI,
    attempts: int,
    topics: Collection[Topic],
    open_topics: Collection[Topic],
    perhaps: Collection[Topic],
) -> Estimate:
    """For topics of which some are open, and some perhaps are to be asked about again and again."""
    likely = _usage(open_topics, answer_tokens=_TOKENS_PER_ANSWER)
    most = _usage([topic for topic in perhaps for _ in range(attempts)])
    return Estimate(
        questions=len(topics),
        kept=len(topics) - len(open_topics),
        likely=likely,
        most=most,
        likely_cost=_cost(provider, likely),
        most_cost=_cost(provider, most),
    )


def _usage(topics: Collection[Topic], answer_tokens: int | None = None) -> Usage:
    """One request for each topic, whose answer is as long as it may be unless it is said how long."""
    return Usage(
        requests=len(topics),
        prompt_tokens=sum(count_tokens(topic.first.system) + count_tokens(topic.first.user) for topic in topics),
        completion_tokens=sum(min(answer_tokens or topic.first.max_tokens, topic.first.max_tokens) for topic in topics),
    )


def _cost(provider: LlamaCpp | OpenAI, usage: Usage) -> float | None:
    if isinstance(provider, LlamaCpp):
        return 0.0
    return provider.prices.cost(usage.prompt_tokens, usage.completion_tokens) if provider.prices else None


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
