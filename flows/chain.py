"""An automation that lets new descriptions start the rest of the pipeline."""

from __future__ import annotations

from prefect.events import DeploymentEventTrigger

from flows.sequence import Step
from tasks.prefect_task import PUBLISHED


def chained(step: Step, deployment: str, enabled: bool) -> DeploymentEventTrigger:
    """What starts a deployment of the pipeline when the deployment of a step alone has published a version.

    The pipeline takes that version and runs what lies behind it. Its own runs start nothing: they are no runs of the
    step's deployment.

    Args:
        step: the step.
        deployment: name of its deployment.
        enabled: whether it is switched on; the dashboard can switch it at any time.
    """
    return DeploymentEventTrigger(
        name=f"{step.stage.name}/{deployment} starts the pipeline",
        description=f"Runs the pipeline on each new version that the deployment {step.stage.name}/{deployment} makes.",
        enabled=enabled,
        expect={PUBLISHED},
        match={"prolab.step": step.name},
        match_related=[
            {"prefect.resource.role": "flow", "prefect.resource.name": step.stage.name},
            {"prefect.resource.role": "deployment", "prefect.resource.name": deployment},
        ],
        parameters={"pins": {step.name: "{{ event.resource['prolab.version'] }}"}},
    )
