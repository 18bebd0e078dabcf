"""Every command, setting, file and example in the documentation is right; those without a title are run, too."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts.exceptions import CycloptsError
from typer._click.exceptions import UsageError

from flows.experiment import Experiment, load_experiment
from tasks.errors import InputError
from tests.docs.commands import check_command, check_files, find_prolab_command
from tests.docs.pages import READMES, REPOSITORY, Block, blocks, commands, inline_code, pages

PAGES = [*READMES, *pages()]
BLOCKS = [block for page in PAGES for block in blocks(page)]
PROGRAMS = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


def blocks_in(language: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == language], ids=str)


@blocks_in("sh")
def test_commands_are_right(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    found = list(commands(block.text))
    assert found
    for words in found:
        check_command(words, block.is_to_come)


@pytest.mark.parametrize(
    "mistake",
    [
        "prolab runn look.yaml",
        "prolab run look.yaml --sett train.max_iters=3",
        "prolab run look.yaml --set train.max_iter=3",
        "prolab run look.yaml --set train.max_iters=three",
        "prolab run look.yaml --pin clusters=production",
        "prolab run configs/experiments/look.yaml",
        "prolab labels export latest bank.pth --format pth",
        "prolab evaluate latest --dataset latest --set evaluate.flipped=true",
        "prolab import labels properties.json --set embed.pool=cls",
        "prefect worker start --pools cpu",
        "prefect deployment run describing/demo",
        "prefect deployment run describe/demo -p override=1",
        "prefect deployment run describe/demo -p 'overrides=[\"describe.attempt=2\"]'",
        'prefect deployment run prolab-pipeline/demo -p \'pins={"clusters": "production"}\'',
        "make documentation",
        "pip install -e '.[s4]'",
        "python -m tests.benchmarks.msda --devices cuda",
        "docker compose exec worker prolab doctor",
        "prolap run look.yaml",
    ],
)
def test_a_mistake_is_found(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    (words,) = commands(mistake)
    # What our checks raise, our own settings, Prefect's parser and prolab's; a program or flow that is not known.
    with pytest.raises((AssertionError, InputError, CycloptsError, UsageError, KeyError)):
        check_command(words)


@blocks_in("sh")
def test_what_is_not_run_says_why(block: Block) -> None:
    assert block.title is None or block.title.startswith(("Needs ", "Takes "))


@blocks_in("yaml")
def test_examples_of_experiments_are_valid(block: Block, tmp_path: Path) -> None:
    """As a file beside the shipped ones; an example without a name is laid over the demo."""
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    example = tmp_path / "configs" / "experiments" / "example.yaml"
    named = re.search(r"^name:", block.text, re.MULTILINE)
    example.write_text(block.text if named else f"base: ./demo.yaml\nname: example\n{block.text}", encoding="utf-8")
    load_experiment(example)


@blocks_in("python")
def test_imports_of_examples_exist(block: Block) -> None:
    """But for what the page itself brings; lines out of the middle of a module are read by people alone."""
    if block.text.startswith(" "):
        return
    before = "\n".join(other.text for other in blocks(block.page) if other.line < block.line)
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or f"class {alias.name}(" in before


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_settings_and_files_in_the_text_exist(page: Path) -> None:
    for code in inline_code(page):
        check_files([code])
        words = code.split()
        if words[0] == "prolab" and len(words) > 1 and words[1].islower():
            _, command, left = find_prolab_command(words[1:])
            known = {name for parameter in command.params for name in parameter.opts}
            assert {word for word in left if word.startswith("--")} <= known, code
        if setting := re.fullmatch(r"(?:--set )?(\w+)\.(\w+)(?:[.:= ].*)?", code):
            section, key = setting.groups()
            if section in Experiment.stages:
                assert key in Experiment.stages[section].params.model_fields, code


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_run(tmp_path: Path) -> None:
    """In the order of the pages, in one folder: a later command finds what an earlier one made."""
    shutil.copytree(REPOSITORY / "configs", tmp_path / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROLAB_"))}
    environment = inherited | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PREFECT_HOME": str(tmp_path / "prefect"),
    }
    for block in BLOCKS:
        if block.page in READMES or block.title is not None or block.language not in PROGRAMS:
            continue
        done = subprocess.run(
            [*PROGRAMS[block.language], block.text], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}:\n{block.text}\n{done.stdout}\n{done.stderr}"
    assert list((tmp_path / "store" / "artifacts" / "evaluation").glob("*/report.html"))
