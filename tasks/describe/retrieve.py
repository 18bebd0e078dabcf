"""Ask a language model about every class, several at a time, and never the same question twice."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from tasks.describe.answers import Answer, AnswerCache, Provider, Question
from tasks.describe.grammar import PHRASE_LENGTH
from tasks.describe.phrases import Parsed, parse_phrases
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
    """The answers about one topic."""

    topic: Topic
    responses: tuple[Response, ...]

    @property
    def is_usable(self) -> bool:
        """Whether the last answer has enough phrases."""
        return len(self.phrases) >= self.topic.min_phrases

    @property
    def phrases(self) -> tuple[str, ...]:
        """The phrases of the last answer."""
        return self.responses[-1].parsed.phrases


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

    def retrieve(self, topics: Sequence[Topic], progress: Progress) -> list[Retrieved]:
        """Ask about every topic, in the order given.

        Raises:
            InputError: naming the classes without a usable answer, once all are asked; or the provider refuses.
            ProviderError: the provider does not answer. Whatever came is kept in either case.
        """
        self._ask_ahead(topics)
        pool = ThreadPoolExecutor(self.provider.concurrency, thread_name_prefix="describe")
        try:
            with progress.bar("describe", total=len(topics), unit="questions") as bar:
                futures = [pool.submit(self._ask, topic) for topic in topics]
                for future in as_completed(futures):
                    bar.advance(descriptions=len(future.result().phrases))
                retrieved = [future.result() for future in futures]
        except BaseException:
            self.provider.give_up()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        if failed := [item for item in retrieved if not item.is_usable]:
            raise InputError("\n".join(map(self._failure, failed)))
        return retrieved

    def next_attempt(self, topic: Topic) -> int | None:
        """The attempt that the provider must be asked for; None where the cache has all that is needed."""
        for attempt in range(self.attempts):
            answer = self.cache.kept(topic.question(attempt))
            if answer is None:
                return attempt
            if Retrieved(topic, (self._response(topic, attempt, answer, new=False),)).is_usable:
                return None
        return None

    def _ask_ahead(self, topics: Sequence[Topic]) -> None:
        """Give the provider the questions of one attempt together, as long as there are unusable answers."""
        for attempt in range(self.attempts):
            self.cache.answer_ahead(topic.question(attempt) for topic in topics if self.next_attempt(topic) == attempt)

    def _ask(self, topic: Topic) -> Retrieved:
        responses: list[Response] = []
        for attempt in range(self.attempts):
            answer, new = self.cache.answer(topic.question(attempt))
            responses.append(self._response(topic, attempt, answer, new))
            if Retrieved(topic, tuple(responses)).is_usable:
                break
        return Retrieved(topic, tuple(responses))

    def _response(self, topic: Topic, attempt: int, answer: Answer, new: bool) -> Response:
        parsed = parse_phrases(
            answer.text,
            topic.subject,
            others=topic.others,
            cut_off=answer.cut_off,
            line_limit=1 + PHRASE_LENGTH if self.provider.uses_grammar else None,
        )
        return Response(attempt, topic.question(attempt), answer, new, parsed)

    def _failure(self, item: Retrieved) -> str:
        topic = item.topic
        apart = (
            f" as against {', '.join(name for name in topic.group if name != topic.class_name)}" if topic.group else ""
        )
        return (
            f"No usable description of class {topic.class_name!r}{apart} in {len(item.responses)} attempts by "
            f"{self.provider.model}: expected at least {topic.min_phrases} phrases, the last answer has "
            f"{len(item.phrases)} and begins {item.responses[-1].answer.text[:_SHOWN_OF_ANSWER]!r}"
        )
