"""The sequence of the stages: which of them run, on which inputs, and what would become of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Literal

from artifacts import Artifact, NotFoundError, Store
from flows.validation import suggest
from tasks.errors import InputError
from tasks.execution import StageResult, assist_stage, plan_stage
from tasks.stage import Stage, StageParams

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """A stage with its parameters, and the steps whose outputs it reads.

    Attributes:
        name: what users call it: the stage's name, with the data set's before it where there are several.
        stage: the stage.
        params: its parameters.
        inputs: name of a step before this one for each of the stage's inputs.
        stored: `kind:version` or `kind:tag` for those of its inputs that no step makes.
    """

    name: str
    stage: Stage
    params: StageParams
    inputs: Mapping[str, str]
    stored: Mapping[str, str] = field(default_factory=dict)


def chain(stages: Iterable[tuple[Stage, StageParams]]) -> list[Step]:
    """Steps with the names of their stages; each input is the output of the one stage before that makes its kind."""
    steps: list[Step] = []
    for stage, params in stages:
        makers = {step.stage.output.name: step.name for step in steps}
        inputs = {name: makers[kind.name] for name, kind in stage.inputs.items()}
        steps.append(Step(stage.name, stage, params, inputs))
    return steps


Run = Callable[[Step, Mapping[str, Artifact], bool], StageResult]
"""Runs one step on its inputs, or finds what it made before; the flag says to run it in any case."""

Look = Callable[[str, Callable[[], Artifact]], Artifact]
"""Lets the function find an artifact that the run needs and does not make; the name says what for."""


def _at_once(name: str, find: Callable[[], Artifact]) -> Artifact:
    return find()


@dataclass(frozen=True)
class Selection:
    """Which stages a user wants to run.

    Attributes:
        first: the stages before this one must have run.
        only: run this stage; those that it depends on must have run.
        force: stages that run although the store has what they would make.
        pins: version or tag to use, by stage that is not to run.
    """

    first: str | None = None
    only: str | None = None
    force: frozenset[str] = frozenset()
    pins: Mapping[str, str] = field(default_factory=dict)


EVERYTHING = Selection()


@dataclass(frozen=True)
class Outcome:
    """What became of a stage in a run."""

    stage: str
    state: Literal["Built", "Cached", "Pinned"]
    artifact: Artifact
    seconds: float | None = None
    peak_memory_bytes: int | None = None


@dataclass(frozen=True)
class Forecast:
    """What would become of a stage.

    Attributes:
        artifact: what would be used of the store.
        reasons: which parts of the key changed, or what the stage waits for.
    """

    stage: str
    state: Literal["Cached", "Pinned", "Runs", "Waits", "Missing"]
    artifact: Artifact | None = None
    reasons: tuple[str, ...] = ()


class _Mode(Enum):
    BUILD = "runs unless the store has it"
    REUSE = "must be in the store"
    PIN = "the user names the version"


def run_sequence(
    steps: Sequence[Step], selection: Selection, store: Store, run: Run, look: Look = _at_once
) -> Iterator[Outcome]:
    """Go through the stages in order and yield what became of each; those that the store has are not run again.

    It ends before a stage that another machine publishes, once this one's share of it is done.

    Raises:
        InputError: the selection names no stage, or needs an artifact that is not there.
        NotFoundError: a pinned version, or one that a step reads, does not exist.
    """
    modes = _select(steps, selection)
    artifacts = _stored(modes, store, look)
    for step, mode in modes:
        name = step.name
        if mode is _Mode.PIN:
            outcome = Outcome(name, "Pinned", look(name, partial(_pinned, step, selection, store)))
        elif mode is _Mode.REUSE:
            outcome = Outcome(name, "Cached", look(name, partial(_reused, step, selection, artifacts, store)))
        elif not step.params.publishes():
            found = _found_by_helper(step, selection, artifacts, store)
            if found is None:
                log.info("%s: this machine's share is done; the one that publishes it goes on", name)
                return
            outcome = Outcome(name, "Cached", found)
        else:
            result = run(step, _inputs(step, artifacts), name in selection.force)
            state: Literal["Built", "Cached"] = "Cached" if result.hit else "Built"
            outcome = Outcome(name, state, result.artifact, result.seconds, result.peak_memory_bytes)
        artifacts[name] = outcome.artifact
        yield outcome


def plan_sequence(steps: Sequence[Step], selection: Selection, store: Store) -> list[Forecast]:
    """Say for each stage whether it would run, and why; nothing runs.

    Raises:
        InputError: the selection names no stage.
        NotFoundError: a pinned version, or one that a step reads, does not exist.
    """
    forecasts: list[Forecast] = []
    modes = _select(steps, selection)
    artifacts = _stored(modes, store, _at_once)
    for step, mode in modes:
        waits_for = [name for name in step.inputs.values() if name not in artifacts]
        if mode is _Mode.PIN:
            forecast = Forecast(step.name, "Pinned", _pinned(step, selection, store))
        elif waits_for:
            forecast = Forecast(step.name, "Waits", reasons=(f"waits for {', '.join(waits_for)}",))
        else:
            forecast = _forecast(step, mode, selection, artifacts, store)
        if forecast.artifact:
            artifacts[step.name] = forecast.artifact
        forecasts.append(forecast)
    return forecasts


def _forecast(
    step: Step, mode: _Mode, selection: Selection, artifacts: Mapping[str, Artifact], store: Store
) -> Forecast:
    """Forecast a stage whose inputs exist."""
    if step.name in selection.force:
        return Forecast(step.name, "Runs", reasons=("forced",))
    explanation = store.explain(plan_stage(step.stage, step.params, _inputs(step, artifacts), store))
    if explanation.hit:
        return Forecast(step.name, "Cached", store.resolve(f"{step.stage.output.name}:{explanation.version}"))
    if mode is _Mode.REUSE:
        return Forecast(step.name, "Missing", reasons=(_missing(step, selection),))
    return Forecast(step.name, "Runs", reasons=explanation.reasons)


def _select(steps: Sequence[Step], selection: Selection) -> list[tuple[Step, _Mode]]:
    """The stages that take part, and how: what only pinned stages would read takes no part."""
    _check(steps, selection)
    names = [step.name for step in steps]
    read = {name for step in steps for name in step.inputs.values()}
    wanted = {selection.only} if selection.only else set(names) - read
    modes: list[tuple[Step, _Mode]] = []
    for step in reversed(steps):
        name = step.name
        if name not in wanted:
            continue
        if name in selection.pins:
            modes.append((step, _Mode.PIN))
            continue
        wanted |= set(step.inputs.values())
        before_first = selection.first is not None and names.index(name) < names.index(selection.first)
        reuse = before_first or (selection.only is not None and name != selection.only)
        modes.append((step, _Mode.REUSE if reuse else _Mode.BUILD))
    modes.reverse()
    _check_use(selection, modes)
    return modes


def _check(steps: Sequence[Step], selection: Selection) -> None:
    names = [step.name for step in steps]
    named = {
        "--from": [selection.first],
        "--only": [selection.only],
        "--force": selection.force,
        "--pin": selection.pins,
    }
    for option, values in named.items():
        for name in values:
            if name is not None and name not in names:
                raise InputError(f"{option} {name}: no such stage{suggest(name, names)}")
    if selection.first and selection.only:
        raise InputError(f"--from {selection.first} and --only {selection.only} exclude each other")


def _check_use(selection: Selection, modes: Sequence[tuple[Step, _Mode]]) -> None:
    used = {mode: [step.name for step, other in modes if other is mode] for mode in _Mode}
    for name in sorted(selection.force - set(used[_Mode.BUILD])):
        running = ", ".join(used[_Mode.BUILD]) or "no stage"
        raise InputError(f"--force {name}: the other options leave this stage out; they let {running} run")
    for name in sorted(selection.pins.keys() - set(used[_Mode.PIN])):
        raise InputError(f"--pin {name}={selection.pins[name]}: the other options leave no stage that reads it")


def _inputs(step: Step, artifacts: Mapping[str, Artifact]) -> dict[str, Artifact]:
    """The stage's inputs out of the artifacts so far, which are by step, or by reference where they are stored."""
    return {name: artifacts[maker] for name, maker in (*step.inputs.items(), *step.stored.items())}


def _stored(modes: Sequence[tuple[Step, _Mode]], store: Store, look: Look) -> dict[str, Artifact]:
    """What the steps read that no step makes: whether it is there is known before anything runs."""
    artifacts: dict[str, Artifact] = {}
    for step, mode in modes:
        for name, reference in step.stored.items():
            if mode is not _Mode.PIN:
                try:
                    artifacts[reference] = look(f"{step.name}.{name}", partial(store.resolve, reference))
                except NotFoundError as error:
                    raise NotFoundError(f"{step.name}.{name}: {error}") from error
    return artifacts


def _pinned(step: Step, selection: Selection, store: Store) -> Artifact:
    version = selection.pins[step.name]
    try:
        return store.resolve(f"{step.stage.output.name}:{version}")
    except NotFoundError as error:
        raise NotFoundError(f"--pin {step.name}={version}: {error}") from error


def _found_by_helper(
    step: Step, selection: Selection, artifacts: Mapping[str, Artifact], store: Store
) -> Artifact | None:
    """The artifact of a stage that another machine publishes, if it is there; if not, its share of the work is done."""
    inputs = _inputs(step, artifacts)
    found = None
    if step.name not in selection.force:
        found = store.find(plan_stage(step.stage, step.params, inputs, store))
    if found is None:
        assist_stage(step.stage, step.params, inputs, store)
    return found


def _reused(step: Step, selection: Selection, artifacts: Mapping[str, Artifact], store: Store) -> Artifact:
    artifact = store.find(plan_stage(step.stage, step.params, _inputs(step, artifacts), store))
    if artifact is None:
        way_out = f"leave the option out, or run --only {step.name} first"
        raise InputError(f"{_missing(step, selection)}: {way_out}")
    return artifact


def _missing(step: Step, selection: Selection) -> str:
    option = f"--only {selection.only}" if selection.only else f"--from {selection.first}"
    return f"{option} needs the {step.stage.output.name} of stage {step.name}, which the store does not have"
