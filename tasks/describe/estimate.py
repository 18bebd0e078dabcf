"""What describing would ask and cost, before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

from tasks.describe import DescribeParams, DescriptorFile, OpenAI, Prices
from tasks.describe.answers import AnswerCache
from tasks.describe.budget import NOTHING, Usage, count_tokens
from tasks.describe.providers import make_provider
from tasks.describe.retrieve import Retriever
from tasks.describe.topics import Topic, make_topics

_TOKENS_PER_ANSWER = 130  # the descriptions released with the paper, by class, with bullets and the odd preamble


@dataclass(frozen=True)
class Estimate:
    """What is to be asked.

    Attributes:
        questions: one for each class, and one for each class to contrast.
        kept: of these, the ones that the cache answers.
        likely: requests and tokens if every answer is usable and as long as usual.
        most: requests and tokens if every attempt is needed and every answer as long as it may be.
        prices: what they cost; None if unknown.
    """

    questions: int
    kept: int
    likely: Usage
    most: Usage
    prices: Prices | None

    def __str__(self) -> str:
        tokens = self.likely.prompt_tokens + self.likely.completion_tokens
        most = self.most.prompt_tokens + self.most.completion_tokens
        text = (
            f"{self.questions} questions, {self.kept} of them answered in the cache; about {self.likely.requests} "
            f"requests and {tokens:,} tokens, at most {self.most.requests} and {most:,}"
        )
        if self.prices is None:
            return text
        return f"{text}; costs about {self.cost(self.likely):.4g}, at most {self.cost(self.most):.4g}"

    def cost(self, usage: Usage) -> float | None:
        """Money for it; None without prices."""
        return self.prices.cost(usage.prompt_tokens, usage.completion_tokens) if self.prices else None


def make_retriever(params: DescribeParams, cache: Path) -> Retriever:
    """Who asks the questions; needs no key as long as none is asked.

    Raises:
        InputError: there is no language model among the parameters.
    """
    provider = make_provider(params.provider, cache)
    return Retriever(provider, AnswerCache(cache / "answers", provider), params.attempts)


def estimate(params: DescribeParams, cache: Path) -> Estimate:
    """What the stage would ask with these parameters, given the answers in its cache folder."""
    if isinstance(params.provider, DescriptorFile):
        return Estimate(0, 0, NOTHING, NOTHING, None)
    return estimate_topics(params, make_topics(params), make_retriever(params, cache))


def estimate_topics(params: DescribeParams, topics: Sequence[Topic], retriever: Retriever) -> Estimate:
    """The same for topics and a retriever that are there already."""
    open_topics = [topic for topic in topics if retriever.next_attempt(topic) is not None]
    likely = NOTHING
    most = NOTHING
    for topic in open_topics:
        prompt = count_tokens(topic.first.system) + count_tokens(topic.first.user)
        likely += Usage(1, prompt, min(_TOKENS_PER_ANSWER, topic.first.max_tokens))
        most += reduce(add, [Usage(1, prompt, topic.first.max_tokens)] * params.attempts)
    prices = params.provider.prices if isinstance(params.provider, OpenAI) else None
    return Estimate(len(topics), len(topics) - len(open_topics), likely, most, prices)
