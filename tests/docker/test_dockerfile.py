"""The images are made as the README and the Makefile say, hold what they need, and nothing that they must not."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths

from tests.docker.recipes import DOCKERIGNORE, REPOSITORY, ancestry, images, stages

SETTINGS = ("CMAKE_ARGS", "PIP_BUILD_CONSTRAINT", "PIP_CONSTRAINT", "PIP_USE_PEP517")
FINAL = ("cpu", "cuda")


def settings(words: list[str]) -> dict[str, str]:
    """The settings of an installation, whatever folder the constraints lie in."""
    found = dict(word.split("=", 1) for word in words if word.startswith(SETTINGS))
    return {name: re.sub(r".*/", "", value) for name, value in found.items()}


def installation(target: str) -> tuple[dict[str, str], list[str]]:
    """The settings and the arguments of pip by which the packages of a target are installed."""
    stage = stages()[f"{target}-packages"]
    (run,) = stage.texts("RUN")
    before, _, after = run.split(" && ")[0].partition("pip install ")
    pairs = [f"{name}={value}" for name, value in stages()["compilers"].environment().items()]
    return settings([*pairs, *shlex.split(before)]), shlex.split(after)


def test_an_image_is_installed_as_the_makefile_and_the_readme_say() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    pins = re.search(r"^PINS := (.+)$", makefile, re.MULTILINE)
    readme = re.search(r"^CMAKE_ARGS=.+\\$", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert pins and readme
    default = re.sub(r"\$\$\{CMAKE_ARGS:-(.*?)\}", r"\1", pins[1])
    of_image, arguments = installation("cpu")
    assert sorted(of_image) == sorted(SETTINGS)
    assert of_image == settings(shlex.split(default)) == settings(shlex.split(readme[0].rstrip("\\")))
    assert re.search(r"pip install --quiet -e '\.\[embedded,dev\]'", makefile)
    assert arguments == ["-e", ".[embedded,s3]"]


def test_the_image_for_gpus_differs_in_the_compilation_of_llama_cpp_alone() -> None:
    (cpu, cpu_arguments), (cuda, cuda_arguments) = installation("cpu"), installation("cuda")
    assert cuda_arguments == cpu_arguments
    assert cuda == cpu | {"CMAKE_ARGS": cuda["CMAKE_ARGS"]}
    assert f'CMAKE_ARGS="{cuda["CMAKE_ARGS"]}"' in (REPOSITORY / "README.md").read_text()
    assert "-DGGML_CUDA=ON" in cuda["CMAKE_ARGS"]


@pytest.mark.parametrize("image", images().values())
def test_base_images_are_pinned(image: str) -> None:
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", image)


@pytest.mark.parametrize("target", FINAL)
def test_an_image_has_no_compiler_and_no_root(target: str) -> None:
    line = ancestry(target)
    assert stages()["compilers"] not in line
    assert not [run for stage in line for run in stage.texts("RUN") if "build-essential" in run]
    users = [user for stage in reversed(line) for user in stage.texts("USER")]
    assert users == ["1000"]


def test_the_label_tells_the_version_of_the_package() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    (label,) = stages()["base"].texts("LABEL")
    labels = dict(word.split("=", 1) for word in shlex.split(label))
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]
    assert images()["PYTHON_IMAGE"].startswith(labels["org.opencontainers.image.base.name"].rpartition("/")[2])


def test_sources_reach_the_image_and_secrets_do_not(tmp_path: Path) -> None:
    packages = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    rooms = [pattern.removesuffix("*") for pattern in packages["include"]]
    wanted = [f"{room}/part/module.py" for room in rooms] + ["pyproject.toml", "setup.py", "constraints.txt"]
    unwanted = ["docker/.env", ".env", "store/objects/secret", "data/photo.jpg", ".git/config", ".venv/bin/python"]
    unwanted += ["ops/compiled/report.json", "flows/__pycache__/cli.pyc", "tests/test_it.py"]
    for name in (*wanted, *unwanted):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    patterns = [line for line in DOCKERIGNORE.read_text().splitlines() if line and not line.startswith("#")]
    sent = exclude_paths(str(tmp_path), patterns, dockerfile="pyproject.toml")
    assert {name for name in sent if (tmp_path / name).is_file()} == set(wanted)
