"""A GGUF model in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import cast

from llama_cpp import ChatCompletionRequestMessage, CreateChatCompletionResponse, Llama
from llama_cpp.llama_grammar import LlamaGrammar
from pydantic import JsonValue

from artifacts import FileHashes
from tasks.describe import LlamaCpp
from tasks.describe.answers import Answer, Question, messages
from tasks.describe.llama_cpp_log import hand_on_log, newest
from tasks.errors import InputError
from tasks.models import parse_model


class LlamaCppProvider:
    """Answers of a GGUF model, the same ones each time for the same question."""

    concurrency = 1
    uses_grammar = True

    def __init__(self, params: LlamaCpp, hashes: FileHashes) -> None:
        self._params = params
        self._model = parse_model(params.model)
        self.model = params.model
        self.identity: dict[str, JsonValue] = {
            "type": params.type,
            "model": self._model.identity(hashes),
            "chat_format": params.chat_format,
            "repeat_penalty": params.repeat_penalty,
        }

    @cached_property
    def _llama(self) -> Llama:
        # Given for both: the library reads prompts with all processors, which crawls when another program wants one.
        threads = self._params.threads or max(1, (os.cpu_count() or 1) // 2)
        path = self._model.fetch()
        hand_on_log()
        try:
            llama = Llama(
                str(path),
                chat_format=self._params.chat_format,
                n_ctx=self._params.context,
                n_threads=threads,
                n_threads_batch=threads,
                n_gpu_layers=self._params.gpu_layers,
                verbose=False,
            )
        except ValueError as error:
            cause = "; ".join(newest) or error
            raise InputError(f"provider.model = {self.model}: llama.cpp cannot load it: {cause}") from error
        if self._params.chat_format is None and "tokenizer.chat_template" not in llama.metadata:
            # The library would take the one of Llama 2 for it.
            raise InputError(
                f"provider.model = {self.model}: there is no chat template in the file; say which chat format the "
                "model was trained on, for instance provider.chat_format: llama-2"
            )
        return llama

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
                messages=cast(list[ChatCompletionRequestMessage], messages(question)),
                grammar=LlamaGrammar.from_string(question.grammar, verbose=False) if question.grammar else None,
                seed=question.seed,
                temperature=question.temperature,
                max_tokens=question.max_tokens,
                repeat_penalty=self._params.repeat_penalty,
            )
        except ValueError as error:
            raise InputError(f"provider.context = {self._params.context} of {self.model}: {error}") from error
        # The other type of the union is for streams, which were not asked for.
        completion = cast(CreateChatCompletionResponse, completion)
        choice = completion["choices"][0]
        return Answer(
            text=choice["message"]["content"] or "",
            cut_off=choice["finish_reason"] == "length",
            model=self.model,
            prompt_tokens=completion["usage"]["prompt_tokens"],
            completion_tokens=completion["usage"]["completion_tokens"],
            seconds=time.monotonic() - started,
        )

    def answer_ahead(
        self, questions: Mapping[str, Question], records: Path, keep: Callable[[str, Answer], None]
    ) -> None:
        """One by one is as cheap; a model that cannot be loaded is found out once and not for each of them."""
        _ = self._llama

    def give_up(self) -> None:
        """Nothing here waits."""
