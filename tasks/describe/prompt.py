"""The question that is put to a language model for every class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from artifacts.canonical import json_hash
from tasks.errors import InputError

_PLACEHOLDER = "{category}"


@dataclass(frozen=True)
class Prompt:
    """A system message and a user message; `{category}` in the user message stands for the class."""

    system: str
    user: str

    @property
    def hash(self) -> str:
        """Hash of the words alone: comments and layout of the file do not count."""
        return json_hash({"system": self.system, "user": self.user})

    def user_message(self, category: str) -> str:
        """The user message for one class."""
        return self.user.replace(_PLACEHOLDER, category)


def read_prompt(path: Path) -> Prompt:
    """Read a prompt from a YAML file with the keys `system` and `user`.

    Raises:
        InputError: the file is missing, is not such a YAML file, or lacks `{category}`.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"Cannot read the prompt {path}: {error}") from error
    if not isinstance(content, dict) or set(content) != {"system", "user"}:
        found = sorted(content) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"Prompt {path}: expected exactly the keys `system` and `user`, found {found}")
    prompt = Prompt(system=str(content["system"]).strip(), user=str(content["user"]).strip())
    if _PLACEHOLDER not in prompt.user:
        raise InputError(f"Prompt {path}: `user` must contain {_PLACEHOLDER}, where the class name goes")
    return prompt


def spoken(class_name: str) -> str:
    """The class name as a person would say it: `sign_symbol` is "sign symbol", `bed ` is "bed"."""
    return " ".join(class_name.replace("_", " ").split())
