"""Ask a language model about every class, several at a time, and never the same question twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from tasks.describe import LlamaCpp, OpenAI
from tasks.describe.answers import Answer, AnswerCache, Provider, Question
from tasks.describe.grammar import PHRASE_LENGTH
from tasks.describe.phrases import Parsed, parse_phrases
from tasks.describe.providers import make_provider
from tasks.describe.topics import Topic
from tasks.errors import InputError
from tasks.progress import Progress

_SHOWN_OF_ANSWER = 200


@dataclass(frozen=True)
class Response:
    """One answer, usable or not, and what was read from it."""

    attempt: int
    question: Question
    answer: Answer
    new: bool
    parsed: Parsed


@dataclass(frozen=True)
class Retrieved:
    """The answers of one provider about one topic, one for each attempt so far."""

    topic: Topic
    provider: Provider
    responses: tuple[Response, ...] = ()

    @property
    def next_question(self) -> Question:
        """The question of the attempt that comes next."""
        return self.topic.question(len(self.responses))

    @property
    def is_usable(self) -> bool:
        """Whether the last answer has enough phrases."""
        return len(self.phrases) >= self.topic.min_phrases

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases of the last answer."""
        return self.responses[-1].parsed.phrases if self.responses else ()


Sift = Callable[[Sequence[Retrieved]], Sequence[Retrieved]]
"""Moves phrases that are of no use beside the other answers from `phrases` to `dropped`; `list` leaves all as it is."""


def make_retriever(params: LlamaCpp | OpenAI, attempts: int, cache: Path) -> Retriever:
    """Who asks a language model; needs no key as long as nothing is asked.

    Raises:
        InputError: the parameters name no model.
    """
    provider = make_provider(params, cache)
    return Retriever(provider, AnswerCache(cache / "answers", provider), attempts)


@dataclass(frozen=True)
class Retriever:
    """Asks one provider.

    Attributes:
        provider: the language model.
        cache: where its answers are kept.
        attempts: how often it is asked about a topic at most.
    """

    provider: Provider
    cache: AnswerCache
    attempts: int

    def retrieve(self, topics: Sequence[Topic], progress: Progress, sift: Sift = list) -> Sequence[Retrieved]:
        """Ask about every topic, and once more, in rounds, about those whose sifted answers are not usable.

        Raises:
            InputError: naming the classes without a usable answer, once all are asked; or the provider refuses.
            ProviderError: the provider does not answer. Whatever came is kept in either case.
        """
        retrieved = self._in_rounds(topics, sift, lambda wanted: self._ask(wanted, progress))
        if failed := [item for item in retrieved if not item.is_usable]:
            raise InputError("\n".join(map(self._failure, failed)))
        return retrieved

    def retrieve_kept(self, topics: Sequence[Topic], sift: Sift = list) -> Sequence[Retrieved]:
        """The same as far as the cache goes, with nothing asked."""
        return self._in_rounds(topics, sift, self._kept)

    def is_open(self, item: Retrieved) -> bool:
        """Whether the topic is to be asked about once more."""
        return not item.is_usable and len(item.responses) < self.attempts

    def _in_rounds(
        self, topics: Sequence[Topic], sift: Sift, ask: Callable[[Sequence[Retrieved]], Mapping[Topic, Response]]
    ) -> Sequence[Retrieved]:
        """In each round, the next attempt at every open topic; `ask` may leave some without an answer."""
        retrieved = [Retrieved(topic, self.provider) for topic in topics]
        while True:
            sifted = sift(retrieved)
            new = ask([item for item in sifted if self.is_open(item)])
            if not new:
                return sifted
            retrieved = [
                replace(item, responses=(*item.responses, new[item.topic])) if item.topic in new else item
                for item in retrieved
            ]

    def _ask(self, wanted: Sequence[Retrieved], progress: Progress) -> dict[Topic, Response]:
        if not wanted:
            return {}
        self.cache.answer_ahead(item.next_question for item in wanted)
        pool = ThreadPoolExecutor(self.provider.concurrency, thread_name_prefix="describe")
        try:
            with progress.bar("describe", total=len(wanted), unit="questions") as bar:
                futures = {item.topic: pool.submit(self._answer, item) for item in wanted}
                for future in as_completed(futures.values()):
                    bar.advance(descriptions=len(future.result().parsed.phrases))
                return {topic: future.result() for topic, future in futures.items()}
        except BaseException:
            self.provider.give_up()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _answer(self, item: Retrieved) -> Response:
        answer, new = self.cache.answer(item.next_question)
        return self._response(item, answer, new)

    def _kept(self, wanted: Sequence[Retrieved]) -> dict[Topic, Response]:
        kept = ((item, self.cache.kept(item.next_question)) for item in wanted)
        return {item.topic: self._response(item, answer, new=False) for item, answer in kept if answer is not None}

    def _response(self, item: Retrieved, answer: Answer, new: bool) -> Response:
        parsed = parse_phrases(
            answer.text,
            item.topic.subject,
            others=item.topic.others,
            cut_off=answer.cut_off,
            line_limit=1 + PHRASE_LENGTH if self.provider.uses_grammar else None,
        )
        return Response(len(item.responses), item.next_question, answer, new, parsed)

    def _failure(self, item: Retrieved) -> str:
        topic, last = item.topic, item.responses[-1]
        others = [name for name in topic.group if name != topic.class_name]
        apart = f" as against {', '.join(map(repr, others))}" if others else ""
        reasons = Counter(dropped.reason for dropped in last.parsed.dropped)
        lost = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "none"
        ways_out = (
            "another contrast prompt, model (describe.contrast_provider) or seed, or one class for both"
            if others
            else "more describe.attempts, a lower describe.min_descriptions, another prompt or a larger model"
        )
        return (
            f"No usable description of class {topic.class_name!r}{apart} in {len(item.responses)} attempts by "
            f"{self.provider.model}: expected at least {topic.min_phrases} phrases, the last answer has "
            f"{len(item.phrases)} (dropped lines: {lost}) and begins {last.answer.text[:_SHOWN_OF_ANSWER]!r}. "
            f"Ways out: {ways_out}"
        )
