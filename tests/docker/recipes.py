"""What stands in `docker/` and `.dockerignore`, read so that tests can compare and run it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "docker" / "Dockerfile"
COMPOSE = REPOSITORY / "docker" / "compose.yaml"
EXAMPLE_ENV = REPOSITORY / "docker" / "example.env"
DOCKERIGNORE = REPOSITORY / ".dockerignore"

_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@dataclass
class Stage:
    """A stage of the Dockerfile: the stage or image that it builds on, and its instructions in their order."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def texts(self, keyword: str) -> list[str]:
        return [text for name, text in self.instructions if name == keyword]

    def environment(self) -> dict[str, str]:
        return dict(word.split("=", 1) for text in self.texts("ENV") for word in shlex.split(text))


def images() -> dict[str, str]:
    """The Dockerfile's base images, by the argument that names them."""
    arguments = re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(arguments)


def stages() -> dict[str, Stage]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, Stage] = {}
    for line in text.replace("\\\n", "").splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            base, name = rest.split(" AS ")
            found[name] = Stage(base)
        elif keyword and found:
            next(reversed(found.values())).instructions.append((keyword, rest.strip()))
    return found


def ancestry(name: str) -> list[Stage]:
    """The stages whose layers are in the image of the stage `name`, itself first."""
    found = stages()
    line = [found[name]]
    while line[-1].base in found:
        line.append(found[line[-1].base])
    return line


def image_environment(name: str) -> dict[str, str]:
    """What `ENV` says in the image of a stage."""
    return {key: value for stage in reversed(ancestry(name)) for key, value in stage.environment().items()}


def image_command(name: str) -> list[str]:
    (text,) = stages()[name].texts("CMD")
    return list(json.loads(text))


def image_health_check(name: str) -> list[str]:
    (text,) = (text for stage in ancestry(name) for text in stage.texts("HEALTHCHECK"))
    return list(json.loads(text.partition("CMD ")[2]))


def variables() -> set[str]:
    """The variables that compose puts in from `docker/.env`."""
    named = {match[1] for match in _VARIABLE.finditer(COMPOSE.read_text(encoding="utf-8"))}
    filled = services(dict.fromkeys(named, "a value"))
    passed = {
        name for service in filled.values() for name, value in service.get("environment", {}).items() if value is None
    }
    return named | passed


def services(values: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Compose's services with the variables' values, or what the file says for those that have none."""

    def value(match: re.Match[str]) -> str:
        name, kind, default = match.groups()
        return values.get(name) or (default if kind == "-" else "")

    loaded = yaml.safe_load(_VARIABLE.sub(value, COMPOSE.read_text(encoding="utf-8")))
    return dict(loaded["services"])


def health_check(service: Mapping[str, Any]) -> list[str]:
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD"
    return command
