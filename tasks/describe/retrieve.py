"""Ask a language model about every class, several at a time, and never the same question twice."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from tasks.describe.answers import Answer, AnswerCache, Provider, Question
from tasks.describe.phrases import parse_phrases
from tasks.describe.prompt import Prompt, spoken
from tasks.errors import InputError
from tasks.progress import Progress

# A greedy model would give the same bad answer to another seed.
_RETRY_TEMPERATURE = 0.7
_SHOWN_OF_ANSWER = 200


@dataclass(frozen=True)
class Response:
    """One answer about a class, usable or not."""

    attempt: int
    question: Question
    answer: Answer
    new: bool


@dataclass(frozen=True)
class Described:
    """A class with its phrases, and the answers that were read for them."""

    class_name: str
    phrases: tuple[str, ...]
    responses: tuple[Response, ...] = ()


@dataclass(frozen=True)
class Retriever:
    """Asks one provider with one prompt.

    Attributes:
        provider: the language model.
        cache: where its answers are kept.
        prompt: the words of the question.
        seed: seed of the first attempt; each further attempt adds one.
        temperature: temperature of the first attempt; further ones are asked at 0.7 at least.
        min_phrases: an answer with fewer phrases is asked for again.
        attempts: how often a class is asked about at most.
    """

    provider: Provider
    cache: AnswerCache
    prompt: Prompt
    seed: int
    temperature: float
    min_phrases: int
    attempts: int

    def describe_all(self, classes: Sequence[str], progress: Progress) -> list[Described]:
        """Describe every class, in the order given.

        Raises:
            InputError: a class has no usable answer; answers under way are waited for and kept.
        """
        pool = ThreadPoolExecutor(self.provider.concurrency, thread_name_prefix="describe")
        try:
            with progress.bar("describe", total=len(classes), unit="classes") as bar:
                futures = [pool.submit(self.describe, name) for name in classes]
                for future in as_completed(futures):
                    bar.advance(descriptions=len(future.result().phrases))
                return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)

    def describe(self, class_name: str) -> Described:
        """Ask about one class until an answer has enough phrases.

        Raises:
            InputError: none of the attempts has.
        """
        responses: list[Response] = []
        for attempt in range(self.attempts):
            question = self._question(class_name, attempt)
            answer, new = self.cache.answer(question)
            responses.append(Response(attempt, question, answer, new))
            phrases = parse_phrases(answer.text, cut_off=answer.cut_off, line_limit=self.provider.line_limit)
            if len(phrases) >= self.min_phrases:
                return Described(class_name, phrases, tuple(responses))
        raise InputError(
            f"No usable description of class {class_name!r} in {self.attempts} attempts by {self.provider.model}: "
            f"expected at least {self.min_phrases} phrases, the last answer has {len(phrases)} and begins "
            f"{answer.text[:_SHOWN_OF_ANSWER]!r}"
        )

    def _question(self, class_name: str, attempt: int) -> Question:
        category = spoken(class_name)
        return Question(
            category=category,
            system=self.prompt.system,
            user=self.prompt.user_message(category),
            seed=self.seed + attempt,
            temperature=max(self.temperature, _RETRY_TEMPERATURE) if attempt else self.temperature,
        )
