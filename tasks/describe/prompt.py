"""The words of the question that is put to a language model for every class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from artifacts.canonical import json_hash
from tasks.errors import InputError

_CATEGORY = "{category}"
_OTHERS = "{others}"
_CONTEXT = "{context}"
_KEYS = {"system", "user", "context"}
_EXAMPLE = re.compile(r"^(?P<name>[^\n:]+):\n(?P<phrases>(?:- .*\n)+)", re.MULTILINE)


@dataclass(frozen=True)
class Prompt:
    """A system message and a user message with placeholders.

    Attributes:
        system: the system message.
        user: `{category}` stands for the class; in a prompt for contrasts, `{others}` for the rest of its group.
        context: a sentence for the system message where the data set's `{context}` is given; None: there is none.
    """

    system: str
    user: str
    context: str | None = None

    @property
    def hash(self) -> str:
        """Hash of the words alone: comments and layout of the file do not count."""
        return json_hash({"system": self.system, "user": self.user, "context": self.context})

    def system_message(self, context: str | None) -> str:
        """The system message, for photos that show `context`."""
        if context is None or self.context is None:
            return self.system
        return f"{self.system} {self.context.replace(_CONTEXT, context)}".strip()

    def user_message(self, category: str, others: Sequence[str] = ()) -> str:
        """The user message for one class, and for the classes that it is to be told apart from."""
        return self.user.replace(_OTHERS, ", ".join(others)).replace(_CATEGORY, category)

    def examples(self) -> dict[str, tuple[str, ...]]:
        """The worked examples in the user message: name -> phrases."""
        return {
            found["name"].strip(): tuple(line.removeprefix("- ") for line in found["phrases"].splitlines())
            for found in _EXAMPLE.finditer(self.user)
        }


def read_prompt(path: Path, *, contrast: bool = False) -> Prompt:
    """Read a prompt from a YAML file with the keys `system`, `user` and, if it makes use of one, `context`.

    Raises:
        InputError: the file is missing, is not such a YAML file, or lacks a placeholder.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"Cannot read the prompt {path}: {error}") from error
    if not isinstance(content, dict) or not {"system", "user"} <= set(content) <= _KEYS:
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"Prompt {path}: expected the keys `system`, `user` and perhaps `context`, found {found}")
    texts = {key: str(text).strip() for key, text in content.items()}
    prompt = Prompt(system=texts["system"], user=texts["user"], context=texts.get("context"))
    if _CATEGORY not in prompt.user:
        raise InputError(f"Prompt {path}: `user` must contain {_CATEGORY}, where the class name goes")
    if contrast and _OTHERS not in prompt.user:
        raise InputError(f"Prompt {path}: `user` must contain {_OTHERS}, where the names of the other classes go")
    if prompt.context is not None and _CONTEXT not in prompt.context:
        raise InputError(f"Prompt {path}: `context` must contain {_CONTEXT}")
    return prompt
