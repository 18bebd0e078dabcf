"""The Batch API: many questions in one file, answered within a day at a lower price."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

import openai
from openai.types import Batch
from pydantic import BaseModel, ValidationError

from artifacts.canonical import json_hash
from artifacts.durable import write_atomic
from tasks.describe import OpenAI
from tasks.describe.answers import Answer, ProviderError, Question
from tasks.describe.budget import NOTHING, Account, Usage
from tasks.describe.chat import Chat
from tasks.describe.pace import Pace
from tasks.errors import InputError

_log = logging.getLogger(__name__)

_ENDPOINT: Final = "/v1/chat/completions"
_UNDER_WAY = ("validating", "in_progress", "finalizing")
_MARK = "questions"  # of a batch's metadata: hash of its questions


class _Record(BaseModel):
    """A batch that was sent, kept until its answers are."""

    batch: str
    server: str
    keys: list[str]


class _Response(BaseModel):
    status_code: int
    body: dict[str, Any]


class _Line(BaseModel):
    custom_id: str
    response: _Response | None = None


class Batches:
    """Sends questions as batches and fetches their answers; a batch that an earlier run sent is gone on with."""

    def __init__(self, client: openai.AsyncOpenAI, chat: Chat, params: OpenAI, pace: Pace, account: Account) -> None:
        # Here the client's own repeats do: a batch makes few requests.
        self._client = client.with_options(max_retries=params.max_retries)
        self._server = str(client.base_url)
        self._chat = chat
        self._poll = params.batch_poll
        self._pace = pace
        self._account = account

    async def answer(
        self, questions: Mapping[str, Question], records: Path, keep: Callable[[str, Answer], None]
    ) -> None:
        """Ask the questions, by their keys, and keep the answers; what the batch failed at stays open.

        Raises:
            InputError: the server refuses the batch, or the budget is too small for it.
            ProviderError: the server does not answer.
        """
        try:
            await self._answer(questions, records, keep)
            return
        except openai.OpenAIError as error:
            refused = isinstance(error, openai.APIStatusError) and self._chat.is_final(error)
            message = f"{self._server}, batch of questions: {self._chat.redact(str(error))}"
        # Out of the handler, since the error carries the request and its key.
        raise InputError(message) if refused else ProviderError(message)

    async def _answer(
        self, questions: Mapping[str, Question], records: Path, keep: Callable[[str, Answer], None]
    ) -> None:
        sent = [
            (path, record)
            for path, record in _read_records(records)
            if record.server == self._server and not questions.keys().isdisjoint(record.keys)
        ]
        under_way = {key for _, record in sent for key in record.keys}
        rest = {key: question for key, question in questions.items() if key not in under_way}
        most = reduce(add, map(self._chat.most, rest.values()), NOTHING)
        await self._account.reserve(most)
        spent = NOTHING
        try:
            if rest:
                sent.append(await self._send(rest, records))
            for path, record in sent:
                spent += await self._fetch(record, questions, keep)
                path.unlink()
        finally:
            await self._account.settle(most, spent)

    async def _send(self, questions: Mapping[str, Question], records: Path) -> tuple[Path, _Record]:
        mark = json_hash(sorted(questions))
        # A run that was killed before it had the batch's id has left a batch with this mark.
        listed = await self._client.batches.list(limit=100)
        batch = next((batch for batch in listed.data if _is_marked(batch, mark)), None)
        if batch is None:
            lines = [
                {"custom_id": key, "method": "POST", "url": _ENDPOINT, "body": self._chat.request(question)}
                for key, question in questions.items()
            ]
            content = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode()
            file = await self._client.files.create(file=("questions.jsonl", content), purpose="batch")
            batch = await self._client.batches.create(
                input_file_id=file.id, endpoint=_ENDPOINT, completion_window="24h", metadata={_MARK: mark}
            )
        record = _Record(batch=batch.id, server=self._server, keys=sorted(questions))
        path = records / f"{mark}.json"
        write_atomic(path, record.model_dump_json(indent=2))
        _log.info(
            "batch %s: sent %d questions; if this run ends, the next one goes on with it", batch.id, len(questions)
        )
        return path, record

    async def _fetch(
        self, record: _Record, questions: Mapping[str, Question], keep: Callable[[str, Answer], None]
    ) -> Usage:
        """Wait for a batch and keep its answers to the questions; returns what these used."""
        batch = await self._client.batches.retrieve(record.batch)
        shown: tuple[str, int] | None = None
        while batch.status in _UNDER_WAY:
            done = batch.request_counts.completed if batch.request_counts else 0
            if shown != (shown := (batch.status, done)):
                _log.info("batch %s: %s, %d of %d answered", batch.id, batch.status, done, len(record.keys))
            await self._pace.sleep(self._poll)
            batch = await self._client.batches.retrieve(record.batch)
        seconds = float(batch.completed_at - batch.created_at) if batch.completed_at else 0.0
        spent = NOTHING
        kept = 0
        content = (await self._client.files.content(batch.output_file_id)).text if batch.output_file_id else ""
        for line in content.splitlines():
            key, body = _read_line(line)
            if body is None or key not in questions:
                continue
            try:
                answer, used = self._chat.read(body, questions[key], seconds)
            except ValidationError:
                continue
            keep(key, answer)
            kept += 1
            spent += used
        _log.log(
            logging.INFO if kept else logging.WARNING,
            "batch %s: %s with %d answers%s", batch.id, batch.status, kept, self._errors(batch),
        )  # fmt: skip
        return spent

    def _errors(self, batch: Batch) -> str:
        errors = batch.errors.data if batch.errors and batch.errors.data else []
        return "".join(f"; {self._chat.redact(error.message or '')}" for error in errors)


def _is_marked(batch: Batch, mark: str) -> bool:
    return (batch.metadata or {}).get(_MARK) == mark and batch.status in (*_UNDER_WAY, "completed")


def _read_records(folder: Path) -> Iterator[tuple[Path, _Record]]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield path, _Record.model_validate_json(path.read_bytes())
        except ValidationError as error:
            _log.warning("The record of a batch %s is damaged and left alone: %s", path, error)


def _read_line(line: str) -> tuple[str, bytes | None]:
    """Key and completion of one line of a batch's output; no completion where the request failed."""
    try:
        parsed = _Line.model_validate_json(line)
    except ValidationError:
        return "", None
    if parsed.response is None or parsed.response.status_code != 200:
        return parsed.custom_id, None
    return parsed.custom_id, json.dumps(parsed.response.body).encode()
