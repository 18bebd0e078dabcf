"""From a provider's parameters to the language model that answers questions."""

from __future__ import annotations

from pathlib import Path

from artifacts import FileHashes
from tasks.describe import LlamaCpp, OpenAI
from tasks.describe.answers import Provider


def make_provider(params: LlamaCpp | OpenAI, cache: Path) -> Provider:
    """The language model, not yet loaded or connected to; `cache` remembers hashes of model files.

    Raises:
        InputError: the parameters name no model, or a URL with a password in it.
    """
    # Imported here because llama.cpp and the client of OpenAI are slow to import, and only one of them is needed.
    match params:
        case LlamaCpp():
            from tasks.describe.llama_cpp_provider import LlamaCppProvider

            return LlamaCppProvider(params, FileHashes(cache / "model_hashes.json"))
        case OpenAI():
            from tasks.describe.openai_provider import OpenAIProvider

            return OpenAIProvider(params)
