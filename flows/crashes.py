"""An automation that ends runs whose process died without a word, as by `kill -9`, lack of memory or lack of power."""

from __future__ import annotations

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import AutomationCore, ChangeFlowRunState, EventTrigger, ResourceSpecification
from prefect.events.schemas.automations import Posture

from flows.heartbeat import HEARTBEAT
from flows.pipeline import prolab_pipeline
from flows.stages import STAGE_FLOWS, promote

NAME = "ProLab's runs that are not heard of have crashed"

_SILENCE = timedelta(minutes=10)
"""A run is heard of every three minutes."""

_FLOWS = [prolab_pipeline.name, *(flow.name for flow in STAGE_FLOWS.values()), promote.name]
_ENDED = {f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "TimedOut", "Cancelled", "Crashed")}


def watch_for_crashes(client: SyncPrefectClient, silence: timedelta = _SILENCE) -> None:
    """Let the server mark runs of our flows as `Crashed` when they are silent; else they would be `Running` for ever.

    What is there already is brought up to date; where it was switched off in the dashboard it stays so.

    Args:
        client: of the server.
        silence: for how long a run is not heard of; ten seconds or more.
    """
    automation = AutomationCore(
        name=NAME,
        description=f"A run that sends no heartbeat for {silence} has died with its process, or its machine.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={HEARTBEAT},
            expect={HEARTBEAT, *_ENDED},
            match_related=ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": _FLOWS}),
            for_each={"prefect.resource.id"},
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED,
                message=f"not heard of for {silence}: its process or its machine has died; the next run goes on from "
                "what is done",
            )
        ],
    )
    known = client.read_automations_by_name(NAME)
    for one in known:
        client.update_automation(one.id, automation.model_copy(update={"enabled": one.enabled}))
    if not known:
        client.create_automation(automation)
