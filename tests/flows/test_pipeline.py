"""The flow against a real Prefect server: what a person sees in the dashboard."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from processes import Prolab

pytestmark = pytest.mark.slow


@pytest.fixture
def prolab_with_server(prolab: Prolab, prefect_environment: dict[str, str]) -> Prolab:
    return dataclasses.replace(prolab, environment=prolab.environment | prefect_environment)


@pytest.fixture
def ask(prefect_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Asks the server through Prefect's client: `ask(lambda client: client.read_flow_runs())`."""
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    async def query(question: Callable[..., Any]) -> Any:
        async with get_client() as client:
            return await question(client)

    def ask(question: Callable[..., Any]) -> Any:
        with temporary_settings({PREFECT_API_URL: prefect_environment["PREFECT_API_URL"]}):
            return asyncio.run(query(question))

    return ask


def test_second_run(prolab_with_server: Prolab, ask: Callable[..., Any]) -> None:
    a = prolab_with_server("run", "experiment.yaml")
    print(a.stdout, a.stderr)
    b = prolab_with_server("run", "experiment.yaml", "--set", "train.fail=true", "--force", "train")
    print(b.stdout, b.stderr, b.returncode)
    runs = ask(lambda client: client.read_flow_runs())
    tasks = ask(lambda client: client.read_task_runs())
    for r in runs: print(r.name, r.state, r.parameters)
    for r in tasks: print(r.name, r.state, r.task_inputs)
    for r in ask(lambda client: client.read_artifacts()): print(r.key, r.type, str(r.data)[:300])
    for r in ask(lambda client: client.read_logs()): print(r.name, r.message, r.task_run_id)
    assert 0
