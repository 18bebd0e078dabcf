"""Runs whose process dies without a word, seen by a real Prefect server."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from processes import Prolab

from flows.crashes import NAME, watch_for_crashes

pytestmark = pytest.mark.slow

_SILENCE = timedelta(seconds=10)  # no shorter one is possible


@pytest.fixture
def client(prefect_environment: dict[str, str]) -> Iterator[SyncPrefectClient]:
    """The server of all tests, whose runs are left alone afterwards."""
    with SyncPrefectClient(api=prefect_environment["PREFECT_API_URL"]) as client:
        yield client
        for automation in client.read_automations_by_name(NAME):
            client.delete_automation(automation.id)


def test_a_killed_run_has_crashed(
    prolab: Prolab, prefect_environment: dict[str, str], client: SyncPrefectClient
) -> None:
    prolab = dataclasses.replace(prolab, environment=prolab.environment | prefect_environment)
    watch_for_crashes(client, _SILENCE)
    process = prolab.start("run", "experiment.yaml", "--set", "describe.seconds_per_class=100")
    run = _wait_for(lambda: _running(client))
    _wait_for(lambda: _heard_of(client, run))

    process.kill()
    process.communicate()

    state = _wait_for(lambda: client.read_flow_run(run.id).state if _ended(client, run) else None)
    assert state.name == "Crashed"
    assert state.message.startswith("not heard of for 0:00:10")


def test_it_is_there_once_and_stays_switched_off(client: SyncPrefectClient) -> None:
    watch_for_crashes(client)
    (automation,) = client.read_automations_by_name(NAME)
    client.pause_automation(automation.id)

    watch_for_crashes(client, _SILENCE)

    (same,) = client.read_automations_by_name(NAME)
    assert same.id == automation.id
    assert not same.enabled
    assert (automation.trigger.within, same.trigger.within) == (timedelta(minutes=10), _SILENCE)


def _running(client: SyncPrefectClient) -> FlowRun | None:
    newest = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
    return newest[0] if newest and newest[0].state.is_running() else None


def _ended(client: SyncPrefectClient, run: FlowRun) -> bool:
    return client.read_flow_run(run.id).state.is_final()


def _heard_of(client: SyncPrefectClient, run: FlowRun) -> bool:
    heartbeats = EventFilter(
        event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
        resource=EventResourceFilter(id=[f"prefect.flow-run.{run.id}"]),
    )
    response = client.request("POST", "/events/filter", json={"filter": heartbeats.model_dump(mode="json")})
    return bool(response.json()["events"])


def _wait_for(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.2)
    return found
