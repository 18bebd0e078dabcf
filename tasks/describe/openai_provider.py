"""A server that speaks OpenAI's chat completions protocol."""

from __future__ import annotations

import os
import time

import openai
from pydantic import JsonValue

from tasks.describe import OpenAI
from tasks.describe.answers import Answer, ProviderError, Question
from tasks.errors import InputError


class OpenAIProvider:
    """Answers of a server; the client itself repeats requests that met 429, 5xx or a broken connection."""

    line_limit = None

    def __init__(self, params: OpenAI) -> None:
        self.model = params.model
        self.concurrency = params.concurrency
        self.identity: dict[str, JsonValue] = {
            "type": params.type,
            "model": params.model,
            "revision": params.revision,
        }
        self._key = _api_key(params)
        self._client = openai.OpenAI(
            api_key=self._key, base_url=params.base_url, max_retries=params.max_retries, timeout=params.timeout
        )

    def answer(self, question: Question) -> Answer:
        """Ask once.

        Raises:
            InputError: the server refuses the request: key, model name or parameters.
            ProviderError: no answer after all repeats.
        """
        started = time.monotonic()
        try:
            completion = self._client.chat.completions.create(
                model=self.model,
                messages=[
                    {"role": "system", "content": question.system},
                    {"role": "user", "content": question.user},
                ],
                temperature=question.temperature,
                seed=question.seed,
            )
        except openai.OpenAIError as error:
            # Without the cause: its request carries the key.
            raise self._explained(error, question) from None
        choice = completion.choices[0] if completion.choices else None
        return Answer(
            text=(choice.message.content or "") if choice else "",
            cut_off=choice is not None and choice.finish_reason == "length",
            prompt_tokens=completion.usage.prompt_tokens if completion.usage else 0,
            completion_tokens=completion.usage.completion_tokens if completion.usage else 0,
            seconds=time.monotonic() - started,
        )

    def _explained(self, error: openai.OpenAIError, question: Question) -> InputError | ProviderError:
        message = f"{self._client.base_url}, model {self.model!r}, class {question.category!r}: {error}"
        message = message.replace(self._key, "***")
        if isinstance(error, openai.APIStatusError) and _is_final(error.status_code):
            return InputError(f"The language model's server refuses: {message}")
        return ProviderError(f"No answer from the language model's server: {message}")


def _api_key(params: OpenAI) -> str:
    key = os.environ.get(params.api_key_env)
    if key:
        return key
    if params.base_url is None:
        raise InputError(f"Set the environment variable {params.api_key_env} to the API key (or give `base_url`)")
    return "local servers need no key"


def _is_final(status: int) -> bool:
    """Whether the same request would be refused again: timeout, conflict, rate limit and 5xx may pass."""
    return status < 500 and status not in (408, 409, 429)
