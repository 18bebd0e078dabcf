"""What the folder of a sentence encoder says of the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ModelFolder:
    """A folder as sentence-transformers writes it, or with a bare transformer, which says less."""

    path: Path

    @property
    def pooling(self) -> str | None:
        """The pooling that the model was made for, several as `cls+mean`; None where the folder does not say."""
        folder = next((module["path"] for module in self._modules if _type(module) == "Pooling"), None)
        config = {} if folder is None else self._read(folder, "config.json")
        # Newer folders name it, older ones have one flag for each.
        stated = config.get("pooling_mode") or [
            name.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
            for name, on in config.items()
            if name.startswith("pooling_mode_") and on
        ]
        return (stated if isinstance(stated, str) else "+".join(stated)) or None

    @property
    def further_modules(self) -> list[str]:
        """What the model has besides transformer, pooling and normalisation."""
        known = ("Transformer", "Pooling", "Normalize")
        return [_type(module) for module in self._modules if _type(module) not in known]

    @property
    def max_tokens(self) -> int | None:
        """Where the model's makers cut texts off; None where they leave it to the tokenizer."""
        limit: int | None = self._read("sentence_bert_config.json").get("max_seq_length")
        return limit

    @property
    def _modules(self) -> list[dict[str, Any]]:
        modules: list[dict[str, Any]] = self._read("modules.json") or []
        return modules

    def _read(self, *names: str) -> Any:
        path = self.path.joinpath(*names)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _type(module: dict[str, Any]) -> str:
    return str(module["type"]).rpartition(".")[2]
