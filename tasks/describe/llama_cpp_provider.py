"""A GGUF model in this process."""

from __future__ import annotations

import json
import os
import time
from functools import cached_property
from typing import cast

from llama_cpp import CreateChatCompletionResponse, Llama
from llama_cpp.llama_grammar import LlamaGrammar
from pydantic import JsonValue

from artifacts import FileHashes
from tasks.describe import LlamaCpp
from tasks.describe.answers import Answer, Question
from tasks.errors import InputError
from tasks.models import parse_model

_PHRASE_LENGTH = 80
# The class comes first: small models copy the prompt's examples otherwise.
_GRAMMAR = f"""\
root ::= CLASS ":\\n" item item item item item item? item? item?
item ::= "- " [A-Z] [a-zA-Z0-9 ,'()/-]{{8,{_PHRASE_LENGTH}}} "\\n"
"""


class LlamaCppProvider:
    """Answers of a GGUF model: five to eight phrases, the same ones each time for the same question."""

    concurrency = 1
    line_limit = 1 + _PHRASE_LENGTH

    def __init__(self, params: LlamaCpp, hashes: FileHashes) -> None:
        self._params = params
        self._model = parse_model(params.model)
        self.model = params.model
        self.identity: dict[str, JsonValue] = {
            "type": params.type,
            "model": self._model.identity(hashes),
            "repeat_penalty": params.repeat_penalty,
            "grammar": _GRAMMAR,
        }

    @cached_property
    def _llama(self) -> Llama:
        # Given for both: the library reads prompts with all processors, which crawls when another program wants one.
        threads = self._params.threads or max(1, (os.cpu_count() or 1) // 2)
        return Llama(
            str(self._model.fetch()),
            n_ctx=self._params.context,
            n_threads=threads,
            n_threads_batch=threads,
            n_gpu_layers=self._params.gpu_layers,
            verbose=False,
        )

    def answer(self, question: Question) -> Answer:
        """Ask once.

        Raises:
            InputError: prompt and answer do not fit into the context.
        """
        started = time.monotonic()
        # What an earlier question left in the model's memory changes the last bits of the next one.
        self._llama.reset()  # type: ignore[no-untyped-call]  # the library leaves it without types
        try:
            completion = self._llama.create_chat_completion(
                messages=[
                    {"role": "system", "content": question.system},
                    {"role": "user", "content": question.user},
                ],
                grammar=LlamaGrammar.from_string(_grammar(question.category), verbose=False),
                seed=question.seed,
                temperature=question.temperature,
                repeat_penalty=self._params.repeat_penalty,
            )
        except ValueError as error:
            raise InputError(f"describe.provider.context = {self._params.context}: {error}") from error
        # The other type of the union is for streams, which were not asked for.
        completion = cast(CreateChatCompletionResponse, completion)
        choice = completion["choices"][0]
        return Answer(
            text=choice["message"]["content"] or "",
            cut_off=choice["finish_reason"] == "length",
            prompt_tokens=completion["usage"]["prompt_tokens"],
            completion_tokens=completion["usage"]["completion_tokens"],
            seconds=time.monotonic() - started,
        )


def _grammar(category: str) -> str:
    return _GRAMMAR.replace("CLASS", json.dumps(category, ensure_ascii=False), 1)
