"""The `prolab` command.

Modules that take long to import (pyarrow, the stages, Prefect) are imported by the commands that need them, so
that `--help` and listings answer at once.

Exit codes: 0 done, 1 a bug, 2 wrong input, 3 `verify` found damage, 4 no answer from a language model, 130 interrupted.
"""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from artifacts import Artifact, StoreError
from flows import (
    artifact_commands,
    data_commands,
    deploy_commands,
    describe_commands,
    doctor,
    evaluate_commands,
    export_commands,
    import_commands,
    labels_commands,
    predict_commands,
    remote_commands,
)
from flows.artifact_commands import StoreOption
from flows.interruption import interrupt_on_sigterm
from flows.output import format_bytes, format_seconds, make_progress, print_table, show_log
from flows.stores import make_store
from tasks.errors import InputError, TransientError

if TYPE_CHECKING:
    from flows.sequence import Outcome, Selection

_WRONG_INPUT = 2
_TRANSIENT = 4
_INTERRUPTED = 130


class _Prolab(TyperGroup):
    """Turns what a user can mend into a message and an exit code; everything else is a bug and shows its traceback."""

    def invoke(self, ctx: Any) -> Any:
        # Python would look for cycles again and again while modules are imported, which stay, and at the end among all
        # that PyTorch is made of, for two seconds.
        gc.set_threshold(10_000)
        atexit.register(gc.freeze)
        try:
            return super().invoke(ctx)
        except (InputError, StoreError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(_WRONG_INPUT) from error
        except TransientError as error:
            print(f"error: {error}\nthis may pass: the next run goes on from what is done", file=sys.stderr)
            raise typer.Exit(_TRANSIENT) from error
        except KeyboardInterrupt as error:
            print("interrupted: the next run goes on from what is done", file=sys.stderr)
            raise typer.Exit(_INTERRUPTED) from error


app = typer.Typer(
    cls=_Prolab,
    help="Class names and photos in, a segmentation model that explains itself in named properties out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich draws boxes even into a pipe
    pretty_exceptions_enable=False,
)
artifact_commands.app.command()(remote_commands.push)
artifact_commands.app.command()(remote_commands.pull)
artifact_commands.app.command()(remote_commands.sync)
app.add_typer(artifact_commands.app, name="artifacts")
app.add_typer(data_commands.app, name="data")
app.add_typer(import_commands.app, name="import")
app.add_typer(labels_commands.app, name="labels")
app.command()(describe_commands.estimate)
app.command()(evaluate_commands.evaluate)
app.command()(predict_commands.predict)
app.command()(export_commands.export)
app.command()(doctor.doctor)
app.command(epilog=deploy_commands.HOW_TO_RUN)(deploy_commands.deploy)
app.command(epilog=deploy_commands.HOW_TO_RUN)(deploy_commands.serve)
app.command()(deploy_commands.ui)

ExperimentArgument = Annotated[Path, typer.Argument(help="The experiment's YAML file.", metavar="EXPERIMENT")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, for instance train.max_iters=200."),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="STAGE", help="Run from this stage on; the stages before it must have run."),
]
OnlyOption = Annotated[
    str | None, typer.Option("--only", metavar="STAGE", help="Run this stage; those it depends on must have run.")
]
ForceOption = Annotated[
    list[str] | None,
    typer.Option("--force", metavar="STAGE", help="Run this stage although the store has what it would make."),
]
PinOption = Annotated[
    list[str] | None,
    typer.Option("--pin", metavar="STAGE=VERSION", help="Use this version or tag and do not run the stage."),
]


@app.command()
def run(
    experiment: ExperimentArgument,
    overrides: SetOption = None,
    first: FromOption = None,
    only: OnlyOption = None,
    force: ForceOption = None,
    pins: PinOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Run an experiment; stages whose result is in the store are not run again.

    With a Prefect server (PREFECT_API_URL or the active profile) the run shows in its dashboard.
    """
    from flows.prefect_api import prefect_api_answers

    interrupt_on_sigterm()
    show_log()
    selection = _selection(first, only, force, pins)
    run_it = _run_as_flow if prefect_api_answers() else _run_in_process
    _print_summary(run_it(experiment, overrides or (), store, selection))


@app.command()
def plan(
    experiment: ExperimentArgument,
    overrides: SetOption = None,
    first: FromOption = None,
    only: OnlyOption = None,
    force: ForceOption = None,
    pins: PinOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Say what `run` would do: what is cached, what would run, and which part of its key changed."""
    from flows.experiment import load_experiment
    from flows.sequence import plan_sequence

    steps = load_experiment(experiment, overrides or ()).steps()
    forecasts = plan_sequence(steps, _selection(first, only, force, pins), make_store(store))
    rows = [
        (
            forecast.stage,
            forecast.state,
            forecast.artifact.version if forecast.artifact else "-",
            "; ".join(forecast.reasons),
        )
        for forecast in forecasts
    ]
    print_table(("stage", "state", "version", "reason"), rows)


def _run_as_flow(experiment: Path, overrides: Sequence[str], store: Path, selection: Selection) -> list[Outcome]:
    from flows.heartbeat import without_prefects_heartbeat
    from flows.pipeline import prolab_pipeline
    from flows.prefect_api import go_on_without_prefect, is_away

    given = (selection.first, selection.only, sorted(selection.force), selection.pins)
    try:
        with without_prefects_heartbeat():
            state = prolab_pipeline(experiment, overrides, *given, store=store, return_state=True)
        if state.is_cancelled():
            raise KeyboardInterrupt
        return state.result()
    except Exception as error:
        if is_away(error):
            go_on_without_prefect(error)
        raise


def _run_in_process(experiment: Path, overrides: Sequence[str], store: Path, selection: Selection) -> list[Outcome]:
    from flows.experiment import load_experiment
    from flows.sequence import Step, run_sequence
    from tasks.execution import StageResult, run_stage

    opened = make_store(store)
    progress = make_progress()

    def run_step(step: Step, inputs: Mapping[str, Artifact], force: bool) -> StageResult:
        return run_stage(step.stage, step.params, inputs, opened, progress, force)

    outcomes: list[Outcome] = []
    try:
        for outcome in run_sequence(load_experiment(experiment, overrides).steps(), selection, opened, run_step):
            outcomes.append(outcome)
    except BaseException:
        # What was done before stays in the store, and is worth knowing.
        if outcomes:
            _print_summary(outcomes)
        raise
    return outcomes


def _selection(first: str | None, only: str | None, force: list[str] | None, pins: list[str] | None) -> Selection:
    from flows.sequence import Selection

    return Selection(first, only, frozenset(force or ()), dict(map(_parse_pin, pins or ())))


def _parse_pin(pin: str) -> tuple[str, str]:
    stage, _, version = pin.partition("=")
    if not stage or not version:
        raise InputError(f"--pin {pin}: expected STAGE=VERSION, for instance cluster=3fa9 or cluster=production")
    return stage, version


def _print_summary(outcomes: list[Outcome]) -> None:
    print_table(
        ("stage", "state", "version", "time", "peak memory"),
        [
            (
                outcome.stage,
                outcome.state,
                outcome.artifact.version,
                format_seconds(outcome.seconds),
                format_bytes(outcome.peak_memory_bytes),
            )
            for outcome in outcomes
        ],
    )
    for outcome in outcomes:
        if "report.html" in outcome.artifact.manifest.files:
            print(f"report: {outcome.artifact.file('report.html')}")
