"""A server that speaks OpenAI's chat completions protocol."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import openai
from pydantic import JsonValue, ValidationError

from tasks.describe import OpenAI
from tasks.describe.answers import Answer, ProviderError, Question
from tasks.describe.budget import NOTHING, Account, Usage
from tasks.describe.chat import Chat
from tasks.describe.openai_batch import Batches
from tasks.describe.pace import LONGEST_WAIT, Pace, retry_after, wait_before
from tasks.errors import InputError

_log = logging.getLogger(__name__)

T = TypeVar("T")

_GRACE = 5.0  # seconds that answers under way are given once the run ends early


@dataclass(frozen=True)
class _Outcome:
    """What became of one request.

    Attributes:
        spent: None where the server does not say what it did.
        trouble: why there is no answer.
        final: the same request would be refused again.
        limited: the server has too many requests.
        wait: seconds that the server asks to wait.
    """

    spent: Usage | None = None
    answer: Answer | None = None
    trouble: str = ""
    final: bool = False
    limited: bool = False
    wait: float | None = None


class OpenAIProvider:
    """Answers of a server; requests that met 429, 5xx, a broken connection or a broken answer are repeated."""

    uses_grammar = False

    def __init__(self, params: OpenAI) -> None:
        self._params = params
        self._account = Account(params.budget, params.prices)
        self._chat = Chat(params, self._account)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._under_way: set[asyncio.Timeout] = set()
        self._pace = Pace(params.requests_per_minute, params.tokens_per_minute)
        self.model = params.model
        self.concurrency = params.concurrency
        self.identity: dict[str, JsonValue] = {
            "type": params.type,
            "model": params.model,
            "revision": params.revision,
            "extra": params.extra,
        }

    def answer(self, question: Question) -> Answer:
        """Ask once.

        Raises:
            InputError: the server refuses the request (key, model name or parameters), or the budget is spent.
            ProviderError: no answer after all repeats.
        """
        return self._run(self._answer(question))

    def answer_ahead(
        self, questions: Mapping[str, Question], records: Path, keep: Callable[[str, Answer], None]
    ) -> None:
        """Ask by the Batch API, where it is wanted; what it leaves open is asked one by one.

        Raises:
            InputError: the server refuses the batch, or the budget is too small for it.
            ProviderError: the server does not answer.
        """
        if self._params.batch:
            self._run(self._batches.answer(questions, records, keep))

    def give_up(self) -> None:
        """End all waits before a repeat; answers under way may still come, for a few seconds."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._give_up)

    def _give_up(self) -> None:
        self._pace.give_up()
        last_call = asyncio.get_running_loop().time() + _GRACE
        for timeout in self._under_way:
            timeout.reschedule(min(timeout.when() or last_call, last_call))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the event loop, which lives in a thread of its own."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="openai", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    # What follows runs in the event loop only.

    @cached_property
    def _client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=self._chat.key.get_secret_value(),
            base_url=self._params.base_url,
            max_retries=0,
            timeout=self._params.timeout,
        )

    @cached_property
    def _batches(self) -> Batches:
        return Batches(self._client, self._chat, self._params, self._pace, self._account)

    async def _answer(self, question: Question) -> Answer:
        started = time.monotonic()
        most = self._chat.most(question)
        for repeat in range(self._params.max_retries + 1):
            await self._account.reserve(most)
            spent = most
            try:
                await self._pace.turn(most.prompt_tokens + most.completion_tokens)
                outcome = await self._ask(question, started)
                spent = outcome.spent or most
            except ProviderError:
                spent = NOTHING  # given up before it was sent
                raise
            finally:
                await self._account.settle(most, spent)
            if outcome.answer is not None:
                return outcome.answer
            if outcome.final:
                raise InputError(f"The language model's server refuses: {self._where(question)}: {outcome.trouble}")
            if repeat < self._params.max_retries:
                await self._wait(outcome, repeat)
        raise ProviderError(f"No answer from the language model's server: {self._where(question)}: {outcome.trouble}")

    async def _ask(self, question: Question, started: float) -> _Outcome:
        """Ask once, within the timeout; every error becomes an outcome, since errors carry the request and its key."""
        try:
            async with asyncio.timeout(self._params.timeout) as timeout:
                self._under_way.add(timeout)
                try:
                    raw = await self._client.chat.completions.with_raw_response.create(**self._chat.request(question))
                finally:
                    self._under_way.discard(timeout)
        except openai.APIStatusError as error:
            return self._refused(error)
        except (TimeoutError, openai.APITimeoutError):
            return _Outcome(trouble=f"no whole answer within {self._params.timeout:g} s")
        except openai.OpenAIError as error:
            cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
            return _Outcome(trouble=self._chat.redact(f"{error}{cause}"))
        try:
            answer, spent = self._chat.read(raw.text, question, time.monotonic() - started)
        except ValidationError:
            return _Outcome(trouble=self._chat.redact(f"expected a chat completion, got {raw.text!r}"))
        return _Outcome(answer=answer, spent=spent)

    def _refused(self, error: openai.APIStatusError) -> _Outcome:
        """A refused request costs no tokens."""
        return _Outcome(
            spent=Usage(1, 0, 0),
            trouble=self._chat.redact(str(error)),
            final=self._chat.is_final(error),
            limited=error.status_code == 429,
            wait=retry_after(error.response.headers),
        )

    async def _wait(self, outcome: _Outcome, repeat: int) -> None:
        """Wait as long as the server asks, and by our own measure where it says nothing.

        Raises:
            ProviderError: the server asks for too long a wait, or given up.
        """
        if outcome.wait is not None and outcome.wait > LONGEST_WAIT:
            raise ProviderError(f"The language model's server asks to wait {outcome.wait:.0f} s: {outcome.trouble}")
        seconds = wait_before(repeat, outcome.wait)
        if outcome.limited:
            self._pace.pause(seconds)
        _log.info("the language model's server: %s; asked again in %.1f s", outcome.trouble, seconds)
        await self._pace.sleep(seconds)

    def _where(self, question: Question) -> str:
        return f"{self._client.base_url}, model {self.model!r}, asked about {question.subject!r}"
