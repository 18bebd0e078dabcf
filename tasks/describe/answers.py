"""Questions to a language model, its answers, and the cache that keeps every answer."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from artifacts.canonical import json_hash
from artifacts.durable import write_atomic

_log = logging.getLogger(__name__)


class ProviderError(RuntimeError):
    """A language model could not answer for a reason that may pass: the server is down or overloaded."""


@dataclass(frozen=True)
class Question:
    """What one request asks.

    Attributes:
        category: the class as a person would say it.
        system: the system message.
        user: the user message.
        seed: seed of the sampling.
        temperature: temperature of the sampling.
    """

    category: str
    system: str
    user: str
    seed: int
    temperature: float


class Answer(BaseModel):
    """What came back.

    Attributes:
        text: the raw text.
        cut_off: the text stopped because of its length.
        prompt_tokens: tokens of the question, 0 where the server does not say.
        completion_tokens: tokens of the answer, 0 where the server does not say.
        seconds: time from question to answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    cut_off: bool
    prompt_tokens: int
    completion_tokens: int
    seconds: float


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
    def line_limit(self) -> int | None:
        """Length at which a grammar stops a phrase."""

    def answer(self, question: Question) -> Answer:
        """Ask once.

        Raises:
            InputError: the question can never be answered as it stands (no such model, key refused).
            ProviderError: no answer for a reason that may pass.
        """


class AnswerCache:
    """Answers on disk, one JSON file for each question put to a provider; a file is whole or absent."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        self._folder = folder
        self._provider = provider

    def answer(self, question: Question) -> tuple[Answer, bool]:
        """The kept answer or a new one, and whether it is new."""
        asked = {"provider": self._provider.identity, "question": asdict(question)}
        key = json_hash(asked)
        path = self._folder / key[:2] / f"{key}.json"
        if (kept := _read(path)) is not None:
            return kept.answer, False
        answer = self._provider.answer(question)
        write_atomic(path, _Entry(asked=asked, answer=answer).model_dump_json(indent=2))
        return answer, True


class _Entry(BaseModel):
    asked: dict[str, JsonValue]
    answer: Answer


def _read(path: Path) -> _Entry | None:
    try:
        return _Entry.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        _log.warning("The kept answer %s is damaged and is asked for again: %s", path, error)
        return None
