"""What decides an artifact, and the key that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from artifacts.canonical import JSON, json_hash, plain
from artifacts.kind import Kind
from artifacts.layout import FORMAT

if TYPE_CHECKING:
    from artifacts.artifact import Artifact


@dataclass(frozen=True)
class Recipe:
    """All that decides what a stage makes.

    Attributes:
        stage: name of the stage.
        kind: kind of the artifact that it makes.
        code: fingerprint of the stage's code.
        parameters: the parameters that decide the output.
        inputs: input artifacts by name; only their digests enter the key.
        external: state of files outside the store that decide the output.
        recorded: what the manifest keeps beside that and the key does not depend on.
    """

    stage: str
    kind: Kind
    code: str
    parameters: Mapping[str, JSON]
    inputs: Mapping[str, Artifact]
    external: Mapping[str, JSON] = field(default_factory=dict)
    recorded: Mapping[str, JSON] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """blake3 of the canonical text of `parts`, 64 hexadecimal digits."""
        return json_hash(self.parts)

    @cached_property
    def parts(self) -> dict[str, JSON]:
        """What enters the key, by name."""
        return key_parts(
            stage=self.stage,
            kind=self.kind.name,
            kind_version=self.kind.version,
            code=self.code,
            parameters=plain(self.parameters, f"parameters of {self.stage}"),
            digests={name: artifact.digest for name, artifact in self.inputs.items()},
            external=plain(self.external, f"external state of {self.stage}"),
        )


def key_parts(
    *, stage: str, kind: str, kind_version: int, code: str, parameters: JSON, digests: Mapping[str, str], external: JSON
) -> dict[str, JSON]:
    """What enters a key, by name: made from a recipe before building and from a manifest afterwards."""
    return {
        "format": FORMAT,
        "stage": stage,
        "kind": kind,
        "kind_version": kind_version,
        "code": code,
        "parameters": parameters,
        "inputs": dict(digests),
        "external": external,
    }
