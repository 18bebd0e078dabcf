"""Questions to a language model, its answers, and the cache that keeps every answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from artifacts.canonical import json_hash
from artifacts.durable import write_atomic
from tasks.errors import TransientError

_log = logging.getLogger(__name__)


class ProviderError(TransientError):
    """A language model could not answer for a reason that may pass: the server is down or overloaded."""


@dataclass(frozen=True)
class Question:
    """What one request asks.

    Attributes:
        subject: what is asked about, as a person would say it; errors name it.
        system: the system message.
        user: the user message.
        seed: seed of the sampling.
        temperature: temperature of the sampling.
        max_tokens: length of the answer at most.
        grammar: GBNF grammar of the answer; providers that cannot hold a model to one leave it out.
    """

    subject: str
    system: str
    user: str
    seed: int
    temperature: float
    max_tokens: int = 512
    grammar: str | None = None


def messages(question: Question) -> list[dict[str, str]]:
    """The question as chat messages; without words there is no system message, which some templates refuse."""
    system = [{"role": "system", "content": question.system}] if question.system else []
    return [*system, {"role": "user", "content": question.user}]


class Answer(BaseModel):
    """What came back.

    Attributes:
        text: the raw text.
        cut_off: the text stopped because of its length.
        model: the model that answered, by the provider's own account.
        prompt_tokens: tokens of the question, 0 where the server does not say.
        completion_tokens: tokens of the answer, 0 where the server does not say.
        seconds: time from question to answer, that of repeats included.
        cost: in the currency of the prices that were given; None without prices.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    cut_off: bool
    model: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    cost: float | None = None


class Provider(Protocol):
    """A language model, wherever it runs."""

    @property
    def model(self) -> str:
        """The model's name for the record."""

    @property
    def identity(self) -> dict[str, JsonValue]:
        """What, beside the question, decides the answer."""

    @property
    def concurrency(self) -> int:
        """How many questions may be under way at once, each in a thread of its own."""

    @property
    def uses_grammar(self) -> bool:
        """Whether answers are held to the question's grammar."""

    def answer(self, question: Question) -> Answer:
        """Ask once.

        Raises:
            InputError: the question can never be answered as it stands (no such model, key refused, budget spent).
            ProviderError: no answer for a reason that may pass.
        """

    def answer_ahead(
        self, questions: Mapping[str, Question], records: Path, keep: Callable[[str, Answer], None]
    ) -> None:
        """Ask many questions at once, where that is cheaper, and `keep` the answers; some may stay open.

        Args:
            questions: by their keys in the cache.
            records: folder for what a later run needs to go on with what this one began.
            keep: called with the key of each question that is answered.
        """

    def give_up(self) -> None:
        """End all waits before a repeat with an error; answers under way may still come, for a few seconds."""


class AnswerCache:
    """Answers on disk, one JSON file for each question put to a provider; a file is whole or absent."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        self._folder = folder
        self._provider = provider

    def answer(self, question: Question) -> tuple[Answer, bool]:
        """The kept answer or a new one, and whether it is new."""
        if (kept := self.kept(question)) is not None:
            return kept, False
        answer = self._provider.answer(self._as_asked(question))
        self.keep(question, answer)
        return answer, True

    def answer_ahead(self, questions: Iterable[Question]) -> None:
        """Have the provider answer many questions at once, where that is cheaper; `answer` asks the rest."""
        wanted = {self.key(question): question for question in questions if self.kept(question) is None}
        if wanted:
            asked = {key: self._as_asked(question) for key, question in wanted.items()}
            self._provider.answer_ahead(
                asked, self._folder / "ahead", lambda key, answer: self.keep(wanted[key], answer)
            )

    def kept(self, question: Question) -> Answer | None:
        """The kept answer, if there is one."""
        path = self._path(question)
        try:
            return _Entry.model_validate_json(path.read_bytes()).answer
        except FileNotFoundError:
            return None
        except ValidationError as error:
            _log.warning("The kept answer %s is damaged and is asked for again: %s", path, error)
            return None

    def keep(self, question: Question, answer: Answer) -> None:
        """Keep an answer that came some other way than through `answer`."""
        entry = _Entry(asked=self._asked(question), answer=answer)
        write_atomic(self._path(question), entry.model_dump_json(indent=2))

    def key(self, question: Question) -> str:
        """Hash of the question and of all else that decides the answer."""
        return json_hash(self._asked(question))

    def _path(self, question: Question) -> Path:
        key = self.key(question)
        return self._folder / key[:2] / f"{key}.json"

    def _asked(self, question: Question) -> dict[str, JsonValue]:
        return {"provider": self._provider.identity, "question": asdict(self._as_asked(question))}

    def _as_asked(self, question: Question) -> Question:
        return question if self._provider.uses_grammar else replace(question, grammar=None)


class _Entry(BaseModel):
    asked: dict[str, JsonValue]
    answer: Answer
