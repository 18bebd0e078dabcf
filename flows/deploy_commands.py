"""`prolab deploy`, `prolab serve` and `prolab ui`: experiments as deployments that a Prefect server starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.artifact_commands import StoreOption
from flows.interruption import interrupt_on_sigterm
from flows.output import print_table, show_log
from tasks.errors import InputError

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

HOW_TO_RUN = """\
Values are changed in the dashboard's form or on the command line. Fields of a section are JSON; single keys are
overridden as by `prolab run --set`; inputs and pins are versions or tags:

\b
  prefect deployment run describe/demo -p 'overrides=["describe.provider.model=qwen"]'
  prefect deployment run cluster/demo -p embeddings=embeddings:3fa9 -p force=true
  prefect deployment run describe/five_data_sets.ade20k -p 'overrides=["ade20k.describe.attempts=5"]'
  prefect deployment run prolab-pipeline/demo -p 'pins={"cluster": "production"}'
  prefect deployment run promote/demo -p artifact=label_space:3fa9 -p tag=production

Deploy again when the experiment's file has changed: the form holds the values of the time. Paths in overrides are
absolute, since workers have a working directory of their own.
"""

CronOption = Annotated[
    str | None,
    typer.Option("--cron", metavar="CRON", help="When the pipeline runs by itself, for instance '0 4 * * sun'."),
]
TimeoutOption = Annotated[
    float | None, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long a stage may take at most.")
]
TagsOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="NAME", help="Tags of the deployments, beside the name.")
]
TrainingsOption = Annotated[
    int | None,
    typer.Option(
        "--trainings", min=1, help="How many networks train at once on this server; one for each GPU if never said."
    ),
]
ChainOption = Annotated[
    bool,
    typer.Option(
        "--chain",
        help="Let each new version that describe/NAME makes start the pipeline; the page Automations does, too.",
    ),
]
ExperimentsArgument = Annotated[
    list[Path], typer.Argument(help="The experiments' YAML files.", metavar="EXPERIMENT...")
]


def deploy(
    experiments: ExperimentsArgument,
    pool: Annotated[str | None, typer.Option(help="Work pool; cpu if not given.", show_default=False)] = None,
    gpu_pool: Annotated[
        str | None,
        typer.Option(help="Work pool of train and evaluate; gpu if there is one, else --pool.", show_default=False),
    ] = None,
    cron: CronOption = None,
    timeout: TimeoutOption = None,
    tags: TagsOption = None,
    trainings: TrainingsOption = None,
    chain: ChainOption = False,
    store: StoreOption = Path("store"),
) -> None:
    """Register deployments of the pipeline and of each stage, for the workers of a pool."""
    from prefect.client.orchestration import get_client

    deployments = _make(experiments, cron, timeout, tags, chain, store)
    from flows.crashes import watch_for_crashes
    from flows.deployments import register
    from flows.work_pools import choose_pools, limit_training

    with get_client(sync_client=True) as client:
        pools = choose_pools(client, pool, gpu_pool)
        limit = limit_training(client, trainings)
        watch_for_crashes(client)
    register(deployments, pools)
    rows = [(item.full_name, pools.of(item.flow_name), item.version or "") for item in deployments]
    print_table(("deployment", "pool", "version"), rows)
    print(f"at most {limit} of them train at once; a worker: prefect worker start --pool {pools.cpu}")


def serve(
    experiments: ExperimentsArgument,
    cron: CronOption = None,
    timeout: TimeoutOption = None,
    tags: TagsOption = None,
    trainings: TrainingsOption = None,
    chain: ChainOption = False,
    store: StoreOption = Path("store"),
) -> None:
    """Register the deployments that `deploy` does, and run them in this process until Ctrl-C."""
    from prefect import serve as serve_deployments
    from prefect.client.orchestration import get_client

    deployments = _make(experiments, cron, timeout, tags, chain, store)
    from flows.crashes import watch_for_crashes
    from flows.work_pools import limit_training

    with get_client(sync_client=True) as client:
        limit_training(client, trainings)
        watch_for_crashes(client)
    serve_deployments(*deployments)


def ui(
    experiments: Annotated[
        list[Path] | None, typer.Argument(help="Experiments to deploy.", metavar="[EXPERIMENT...]")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the server, on 127.0.0.1.")] = 4200,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
    store: StoreOption = Path("store"),
) -> None:
    """Start a Prefect server, work pools and workers on this machine, and open the dashboard; Ctrl-C stops all."""
    from flows.dashboard import run_dashboard

    interrupt_on_sigterm()
    show_log()
    run_dashboard(experiments or [], port, open_page, store)


def _make(
    experiments: list[Path], cron: str | None, timeout: float | None, tags: list[str] | None, chain: bool, store: Path
) -> list[RunnerDeployment]:
    from flows.prefect_api import prefect_api_answers

    if not prefect_api_answers():
        raise InputError("no Prefect server answers: start one (prolab ui), and say where it is by PREFECT_API_URL")
    from flows.deployments import Options, make_deployments

    return make_deployments(experiments, Options(store, cron, timeout, tags or (), chain))
