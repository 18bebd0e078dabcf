"""Deployments of an experiment at a Prefect server: the whole pipeline, each stage alone, and one that names versions.

The flow is called as the stage and the deployment as the experiment (`describe/camvid`), so that experiments do not
collide; in a joint experiment with the data set behind it (`describe/streets.camvid`), where a stage runs for each.
Defaults are the experiment's values, as they are when it is deployed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.chain import chained
from flows.experiment import load_experiment
from flows.pipeline import prolab_pipeline
from flows.sequence import Step
from flows.stages import STAGE_FLOWS, describe, promote
from flows.work_pools import Pools
from tasks.errors import InputError

_HELP = """{what}, with the parameters of `{file}` as they were when it was deployed.

Single keys are overridden by `overrides`, as by `prolab run --set`:
`prefect deployment run '{name}' -p 'overrides=["{override}"]'`
"""


@dataclass(frozen=True)
class Options:
    """What holds for all deployments of an experiment.

    Attributes:
        store: the store's folder.
        cron: when the pipeline runs by itself.
        timeout: seconds that a stage may take at most.
        tags: beside the experiment's name.
        chain: whether a new version of the descriptions, made by a deployment of `describe`, starts the pipeline.
    """

    store: Path
    cron: str | None = None
    timeout: float | None = None
    tags: Sequence[str] = ()
    chain: bool = False


def make_deployments(files: Sequence[Path], options: Options) -> list[RunnerDeployment]:
    """The deployments of the experiments in the files.

    Raises:
        InputError: an experiment is wrong, or its name is none for a deployment or another's, too.
    """
    deployments: dict[str, RunnerDeployment] = {}
    for file in files:
        for deployment in _make(file, options):
            if deployment.full_name in deployments:
                raise InputError(f"{file}: name: another experiment is called {deployment.name!r}, too")
            deployments[deployment.full_name] = deployment
    return list(deployments.values())


def register(deployments: Sequence[RunnerDeployment], pools: Pools) -> None:
    """Make the deployments known to the server, each for its pool."""
    for deployment in deployments:
        deployment.apply(work_pool_name=pools.of(deployment.flow_name))


def _make(file: Path, options: Options) -> list[RunnerDeployment]:
    file = file.absolute()
    experiment = load_experiment(file)
    _check_name(experiment.name, file)
    steps = [(*_member_and_section(step), step) for step in experiment.steps()]
    common = {"experiment": str(file), "store": str(options.store.absolute()), "timeout": options.timeout}

    def deployment(
        flow: Flow[..., Any], name: str, parameters: dict[str, Any], what: str, override: str, **more: Any
    ) -> RunnerDeployment:
        help_text = _HELP.format(what=what, file=file, name=f"{flow.name}/{name}", override=override)
        return RunnerDeployment.from_flow(
            flow,
            name=name,
            parameters=parameters,
            description=help_text if override else what,
            tags=["prolab", experiment.name, *options.tags],
            version=code_version(),
            entrypoint_type=EntrypointType.MODULE_PATH,
            **more,
        )

    def name(member: str) -> str:
        return f"{experiment.name}.{member}" if member else experiment.name

    pipeline = deployment(
        prolab_pipeline,
        experiment.name,
        common | {section: _values(step) for member, section, step in steps if not member},
        "All stages",
        "train.max_iters=200",
        cron=options.cron or None,
        triggers=[
            chained(step, name(member), options.chain)
            for member, section, step in steps
            if STAGE_FLOWS[section] is describe
        ],
    )
    stages = [
        deployment(
            STAGE_FLOWS[section],
            name(member),
            common | {section: _values(step)} | ({"member": member} if member else {}),
            f"Stage `{step.name}` alone",
            f"{member}.{section}.KEY=VALUE" if member else f"{section}.KEY=VALUE",
        )
        for member, section, step in steps
    ]
    promoting = deployment(promote, experiment.name, {"store": common["store"]}, str(promote.description), "")
    return [pipeline, *stages, promoting]


def _member_and_section(step: Step) -> tuple[str, str]:
    """The data set of a step in a joint experiment, if any, and the section that its parameters are."""
    section = next(name for name, flow in STAGE_FLOWS.items() if flow.name == step.stage.name)
    return step.name.rpartition(".")[0], section


def _values(step: Step) -> dict[str, Any]:
    return step.params.model_dump(mode="json")


def _check_name(name: str, file: Path) -> None:
    if forbidden := sorted(set(name) & set("/%&><")):
        raise InputError(f"{file}: name: {name!r}: a deployment's name has no {' '.join(forbidden)}")


def code_version() -> str:
    """The commit of the code, with `-dirty` where files differ from it; the package's version without a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return installed_version("prolab-pipeline")
    return done.stdout.strip()
