"""The manifest: what one version is, made of what, by what. A person can read it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from artifacts.canonical import JSON, json_hash
from artifacts.errors import DamagedError, FormatError
from artifacts.layout import FORMAT, MANIFEST
from artifacts.recipe import key_parts


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileRecord(_Record):
    """One file of an artifact."""

    bytes: int
    blake3: str
    rows: int | None = None


class InputRecord(_Record):
    """The version that an input was when the artifact was made."""

    kind: str
    version: str
    digest: str


class Environment(_Record):
    """Where the artifact was made."""

    python: str
    platform: str
    packages: dict[str, str]


class Manifest(_Record):
    """All that is known of one version.

    Attributes:
        format: format of the store.
        key: hash of stage, kind, code, parameters, inputs' digests and external state.
        digest: hash of the content that later stages depend on.
        version: start of the hash of key and digest.
        created: UTC time in ISO 8601.
        seconds: wall time of the stage.
        peak_memory_bytes: highest resident size of the process and its children while the stage ran.
        files: every file of the artifact but the manifest, by path with forward slashes.
        checksum: hash of all other fields.
    """

    format: int
    kind: str
    kind_version: int
    version: str
    key: str
    digest: str
    stage: str
    created: str
    seconds: float
    peak_memory_bytes: int
    summary: dict[str, JsonValue]
    parameters: dict[str, JsonValue]
    inputs: dict[str, InputRecord]
    external: dict[str, JsonValue]
    code: str
    recorded: dict[str, JsonValue]
    files: dict[str, FileRecord]
    environment: Environment
    checksum: str = ""

    @property
    def reference(self) -> str:
        """Name of the version: `kind:version`."""
        return f"{self.kind}:{self.version}"

    @property
    def input_references(self) -> list[str]:
        """The versions that it was made of."""
        return [f"{record.kind}:{record.version}" for record in self.inputs.values()]

    @property
    def key_parts(self) -> dict[str, JSON]:
        """What entered the key, by name."""
        return key_parts(
            stage=self.stage,
            kind=self.kind,
            kind_version=self.kind_version,
            code=self.code,
            parameters=self.parameters,
            digests={name: record.digest for name, record in self.inputs.items()},
            external=self.external,
        )

    def sealed(self) -> Manifest:
        """The manifest with its checksum."""
        return self.model_copy(update={"checksum": self._sum()})

    @property
    def sound(self) -> bool:
        """Whether the checksum is that of the other fields."""
        return self.checksum == self._sum()

    def _sum(self) -> str:
        return json_hash(self.model_dump(mode="json", exclude={"checksum"}))

    def text(self) -> str:
        """The text of manifest.json."""
        return self.model_dump_json(indent=2) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a version's folder.

    Raises:
        DamagedError: it is missing, or is not a manifest.
        FormatError: it was written in a newer format.
    """
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise DamagedError(f"{path} is missing") from error
    return parse_manifest(text, str(path))


def parse_manifest(text: bytes, where: str) -> Manifest:
    """Read the text of a manifest that was found at `where`.

    Raises:
        DamagedError: it is not a manifest.
        FormatError: it was written in a newer format.
    """
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        raise _unreadable(where, text, error) from error


def _unreadable(where: str, text: bytes, error: ValidationError) -> DamagedError | FormatError:
    try:
        written = json.loads(text)["format"]
    except (ValueError, KeyError, TypeError):
        written = FORMAT
    if isinstance(written, int) and written > FORMAT:
        return FormatError(f"{where} has format {written}; this program knows format {FORMAT}: use the newer program")
    first = error.errors()[0]
    return DamagedError(f"{where} is not a manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}")
