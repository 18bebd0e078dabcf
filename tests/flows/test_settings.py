"""Layers of YAML files and overrides."""

from pathlib import Path

import pytest

from flows.settings import Settings, read_settings
from tasks.errors import InputError


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_inherited_mappings_merge_and_lists_are_replaced(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "train: {lr: 1.0, steps: [1, 2]}\nname: base\n")
    child = write(tmp_path, "child.yaml", "base: ./base.yaml\ntrain: {steps: [3]}\n")

    assert read_settings(child).values == {"train": {"lr": 1.0, "steps": [3]}, "name": "base"}


def test_later_bases_win_over_earlier_ones_and_the_file_over_all(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "x: a\ny: a\nz: a\n")
    write(tmp_path, "b.yaml", "y: b\nz: b\n")
    child = write(tmp_path, "child.yaml", "base: [a.yaml, b.yaml]\nz: child\n")

    assert read_settings(child).values == {"x": "a", "y": "b", "z": "child"}


def test_another_type_replaces_the_mapping(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml", "provider: {type: llm, model: a}\n")

    assert read_settings(path, ["provider.type=file", "provider.path=x"]).values == {
        "provider": {"type": "file", "path": "x"}
    }
    assert read_settings(path, ["provider.type=llm", "provider.seed=1"]).values == {
        "provider": {"type": "llm", "model": "a", "seed": 1}
    }


def test_paths_are_relative_to_the_file_in_which_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "shared/base.yaml", "a: ./photos\nlist: [../x, plain, {b: ./y}]\n")
    child = write(tmp_path, "runs/child.yaml", "base: ../shared/base.yaml\nc: ./photos\n")

    assert read_settings(child, ["d=./photos"]).values == {
        "a": f"{tmp_path}/shared/photos",
        "list": [f"{tmp_path}/x", "plain", {"b": f"{tmp_path}/shared/y"}],
        "c": f"{tmp_path}/runs/photos",
        "d": f"{tmp_path}/photos",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("200", 200),
        ("2e-5", 2e-5),
        ("true", True),
        ("[a, 1]", ["a", 1]),
        ("", None),
        ("a=b", "a=b"),
        ("{x: 1}", {"x": 1}),
    ],
)
def test_overrides_have_the_types_of_yaml(tmp_path: Path, text: str, value: object) -> None:
    path = write(tmp_path, "a.yaml", "train: {lr: 1.0}\n")

    assert read_settings(path, [f"train.value={text}"]).values == {"train": {"lr": 1.0, "value": value}}


def test_where_a_key_was_set(tmp_path: Path) -> None:
    base = write(tmp_path, "base.yaml", "train: {lr: 1.0, seed: 0}\nplain: {a: 1}\n")
    child = write(tmp_path, "child.yaml", "base: base.yaml\ntrain: {seed: 1}\n")

    settings = read_settings(child, ["plain=1"])

    assert settings.origin(("train", "lr")) == str(base)
    assert settings.origin(("train", "seed")) == str(child)
    assert settings.origin(("plain", "a")) == "--set plain=1"
    assert settings.origin(("unknown",)) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "expected a mapping of sections, got list"),
        ("a: [\n", "not valid YAML"),
        ("a: 1\na: 2\n", "key 'a' comes twice"),
        ("1: 2\n", "key 1 is no string"),
        ("base: 3\n", "key base: expected a path or a list of paths, got 3"),
        ("base: nowhere.yaml\n", "nowhere.yaml: no such file; in this folder there are bad.yaml"),
        ("base: bad.yaml\n", "the file inherits from itself"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, "bad.yaml", text)

    with pytest.raises(InputError) as error:
        read_settings(path)

    assert str(tmp_path) in str(error.value)
    assert message in str(error.value)


@pytest.mark.parametrize("override", ["train", "=1", "train..lr=1"])
def test_bad_overrides_are_named(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, "a.yaml", "train: {}\n")

    with pytest.raises(InputError, match="expected KEY=VALUE"):
        read_settings(path, [override])


def test_replaced_section_keeps_nothing_of_the_one_before() -> None:
    settings = Settings()
    settings.lay({"train": {"max_iters": 3, "seed": 1}}, origin="file")
    settings.replace("train", {"max_iters": 4}, origin="parameters of the run")

    assert settings.values == {"train": {"max_iters": 4}}
    assert settings.origin(("train", "max_iters")) == "parameters of the run"
    assert settings.origin(("train", "seed")) == "parameters of the run"
