"""The chat completions protocol: requests, answers, and errors that do not tell the key."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import openai
from pydantic import BaseModel, SecretStr

from tasks.describe import OpenAI
from tasks.describe.answers import Answer, Question, messages
from tasks.describe.budget import Account, Usage, count_tokens
from tasks.errors import InputError

_SHOWN_OF_ERROR = 500
_HIDDEN = "***"
_SHORTEST_KEY = 8  # servers that check no key are given words such as "EMPTY"


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message = _Message()
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(BaseModel):
    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None


class Chat:
    """Writes requests and reads answers for one model of one server.

    Raises:
        InputError: the server's URL carries a password.
    """

    def __init__(self, params: OpenAI, account: Account) -> None:
        _check_url(params.base_url)
        self._params = params
        self._account = account

    @cached_property
    def key(self) -> SecretStr:
        """The API key.

        Raises:
            InputError: OpenAI's own server needs one and there is none, or it cannot be one.
        """
        return _api_key(self._params)

    def request(self, question: Question) -> dict[str, Any]:
        """The body of the request."""
        # OpenAI's newer models refuse the older name, and other servers may know only that.
        length = "max_completion_tokens" if self._params.base_url is None else "max_tokens"
        body: dict[str, Any] = {
            "model": self._params.model,
            "messages": messages(question),
            "temperature": question.temperature,
            "seed": question.seed,
            length: question.max_tokens,
        }
        return {name: value for name, value in {**body, **self._params.extra}.items() if value is not None}

    def read(self, text: str | bytes, question: Question, seconds: float) -> tuple[Answer, Usage]:
        """The answer in the body of a response, empty if there is none in it, and what it used.

        Raises:
            pydantic.ValidationError: it is no chat completion.
        """
        completion = _Completion.model_validate_json(text)
        choice = completion.choices[0] if completion.choices else _Choice()
        said = self._without_key(choice.message.content or choice.message.refusal or "")
        if completion.usage:
            spent = Usage(1, completion.usage.prompt_tokens, completion.usage.completion_tokens)
        else:
            spent = Usage(1, self.most(question).prompt_tokens, count_tokens(said))
        answer = Answer(
            text=said,
            cut_off=choice.finish_reason == "length",
            model=self._without_key(completion.model or self._params.model),
            prompt_tokens=completion.usage.prompt_tokens if completion.usage else 0,
            completion_tokens=completion.usage.completion_tokens if completion.usage else 0,
            seconds=seconds,
            cost=self._account.cost(spent),
        )
        return answer, spent

    def most(self, question: Question) -> Usage:
        """What the question may use at most."""
        return Usage(1, count_tokens(question.system) + count_tokens(question.user), question.max_tokens)

    def is_final(self, error: openai.APIStatusError) -> bool:
        """Whether the same request would be refused again: timeout, conflict, rate limit and 5xx may pass."""
        if error.status_code == 429:
            return error.code == "insufficient_quota"
        return error.status_code < 500 and error.status_code not in (408, 409)

    def redact(self, message: str) -> str:
        """Without the key, in one line and not too long."""
        line = " ".join(self._without_key(message).split())
        return line if len(line) <= _SHOWN_OF_ERROR else f"{line[:_SHOWN_OF_ERROR]}…"

    def _without_key(self, text: str) -> str:
        key = self.key.get_secret_value()
        return text.replace(key, _HIDDEN) if len(key) >= _SHORTEST_KEY else text


def _api_key(params: OpenAI) -> SecretStr:
    key = os.environ.get(params.api_key_env, "").strip()
    if not key and params.base_url is None:
        raise InputError(f"Set the environment variable {params.api_key_env} to the API key (or give `base_url`)")
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"The environment variable {params.api_key_env} holds no API key: it has odd characters in it")
    return SecretStr(key or "none")


def _check_url(base_url: str | None) -> None:
    if base_url is None:
        return
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError("provider.base_url: expected http://... or https://...")
    if parts.username or parts.password or parts.query:
        raise InputError(
            f"provider.base_url of {parts.hostname}: it would be written into the manifest; give the key in the "
            "environment variable that `api_key_env` names, and no user, password or query in the URL"
        )
