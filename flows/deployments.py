"""Deployments of an experiment at a Prefect server: the whole pipeline, each stage alone, and one that names versions.

The flow is called as the stage and the deployment as the experiment (`describe/camvid`), so that experiments do not
collide. Defaults are the experiment's values, as they are when it is deployed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType
from pydantic import BaseModel

from flows.experiment import Experiment, JointExperiment, load_experiment
from flows.pipeline import prolab_pipeline
from flows.stages import STAGE_FLOWS, promote
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
    """

    store: Path
    cron: str | None = None
    timeout: float | None = None
    tags: Sequence[str] = ()


def make_deployments(files: Sequence[Path], options: Options) -> list[RunnerDeployment]:
    """The deployments of the experiments in the files; of a joint experiment only that of the pipeline.

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
    sections = dict(_sections(experiment))
    common = {"experiment": str(file), "store": str(options.store.absolute()), "timeout": options.timeout}

    def deployment(flow: Flow[..., Any], parameters: dict[str, Any], what: str, override: str, **more: Any) -> Any:
        name = f"{flow.name}/{experiment.name}"
        return RunnerDeployment.from_flow(
            flow,
            name=experiment.name,
            parameters=parameters,
            description=_HELP.format(what=what, file=file, name=name, override=override) if override else what,
            tags=["prolab", experiment.name, *options.tags],
            version=code_version(),
            entrypoint_type=EntrypointType.MODULE_PATH,
            **more,
        )

    whole = deployment(
        prolab_pipeline, common | sections, "All stages", "train.max_iters=200", cron=options.cron or None
    )
    if isinstance(experiment, JointExperiment):
        return [whole]
    stages = [
        deployment(flow, common | {section: sections[section]}, f"Stage `{flow.name}` alone", f"{section}.KEY=VALUE")
        for section, flow in STAGE_FLOWS.items()
    ]
    return [whole, *stages, deployment(promote, {"store": common["store"]}, str(promote.description), override="")]


def _sections(experiment: Experiment | JointExperiment) -> Iterator[tuple[str, dict[str, Any]]]:
    """The sections that are a stage's parameters, as JSON."""
    for name in STAGE_FLOWS:
        params = getattr(experiment, name, None)
        if isinstance(params, BaseModel):
            yield name, params.model_dump(mode="json")


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
