"""The flow against a real Prefect server: what a person sees in the dashboard."""

import asyncio
import base64
import dataclasses
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import pytest
from chromium import read_page
from prefect import get_client
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas import FlowRun, TaskRun
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterStartTime,
    LogFilter,
    LogFilterFlowRunId,
)
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, temporary_settings
from processes import Prolab, rows

from artifacts import Artifact, Store

pytestmark = pytest.mark.slow


class Dashboard:
    """What the server knows of the newest run."""

    def __init__(self, url: str) -> None:
        self._url = url

    def flow_run(self) -> FlowRun:
        started = FlowRunFilter(start_time=FlowRunFilterStartTime(is_null_=False))
        return self._ask(
            lambda client: client.read_flow_runs(flow_run_filter=started, sort=FlowRunSort.START_TIME_DESC, limit=1)
        )[0]

    def task_states(self) -> dict[str, tuple[str, str]]:
        return {run.name: (run.state.name, run.state.message) for run in self._task_runs()}

    def upstream(self) -> dict[str, set[str]]:
        """Names of the tasks that each task waited for."""
        runs = self._task_runs()
        names: dict[UUID, str] = {run.id: run.name for run in runs}
        return {run.name: {names[after.id] for after in run.task_inputs.get("wait_for", [])} for run in runs}

    def _task_runs(self) -> list[TaskRun]:
        """The task runs, once the server has heard of the end of all: their states reach it a little later."""
        newest = FlowRunFilter(id=FlowRunFilterId(any_=[self.flow_run().id]))
        deadline = time.monotonic() + 120
        while True:
            runs = self._ask(lambda client: client.read_task_runs(flow_run_filter=newest))
            if all(run.state.is_final() for run in runs) or time.monotonic() > deadline:
                return runs
            time.sleep(0.2)

    def artifacts(self) -> dict[str, Any]:
        run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[self.flow_run().id]))
        return {found.key: found for found in self._ask(lambda client: client.read_artifacts(artifact_filter=run))}

    def log(self) -> list[tuple[str, str]]:
        run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self.flow_run().id]))
        return [(line.name, line.message) for line in self._ask(lambda client: client.read_logs(log_filter=run))]

    def _ask(self, question: Callable[[PrefectClient], Any]) -> Any:
        async def ask() -> Any:
            async with get_client() as client:
                return await question(client)

        with temporary_settings({PREFECT_API_URL: self._url}):
            return asyncio.run(ask())


@pytest.fixture
def dashboard(prefect_environment: dict[str, str]) -> Dashboard:
    return Dashboard(prefect_environment["PREFECT_API_URL"])


@pytest.fixture
def prolab(prolab: Prolab, prefect_environment: dict[str, str]) -> Prolab:
    return dataclasses.replace(prolab, environment=prolab.environment | prefect_environment)


def test_first_and_second_run(prolab: Prolab, dashboard: Dashboard) -> None:
    first = prolab.summary()
    assert {state for state, _ in dashboard.task_states().values()} == {"Completed"}

    second = prolab.summary()

    states = dashboard.task_states()
    assert set(states) == {"index", "describe", "cluster", "train"}
    assert {state for state, _ in states.values()} == {"Cached"}
    message = states["train"][1]
    assert message.startswith(f"checkpoint:{first['train'][2]} was in the store")
    assert message.endswith("its code, its parameters and the content of its inputs are the same")
    assert {stage: row[2] for stage, row in second.items()} == {stage: row[2] for stage, row in first.items()}
    assert dashboard.flow_run().name == "experiment"
    assert dashboard.flow_run().state_name == "Completed"


def test_summary_says_what_each_stage_took(prolab: Prolab) -> None:
    summary = prolab.summary("--set", "describe.seconds_per_class=0.2", "--set", "train.megabytes=300")

    assert float(summary["describe"][3].removesuffix(" s")) >= 0.6
    cluster, train = (float(summary[stage][4].removesuffix(" MB")) for stage in ("cluster", "train"))
    assert train - cluster == pytest.approx(300, abs=60)


def test_tasks_are_linked_to_those_that_made_their_inputs(prolab: Prolab, dashboard: Dashboard) -> None:
    prolab.summary()

    assert dashboard.upstream() == {
        "index": set(),
        "describe": set(),
        "cluster": {"describe"},
        "train": {"index", "cluster"},
    }


def test_each_stage_shows_its_report_and_its_versions_also_on_a_hit(prolab: Prolab, dashboard: Dashboard) -> None:
    for progress in ({"describe-progress", "describe-so-far"}, set()):
        summary = prolab.summary()
        shown = dashboard.artifacts()

        assert set(shown) == {f"{stage}-report" for stage in ("index", "describe", "cluster", "train")} | progress
        assert "- sky as a sees it" in shown["describe-report"].data
        report = shown["cluster-report"].data
        assert "![Classes by properties](data:image/jpeg;base64,/9j/" in report
        assert "| `properties` | `2` |" in report
        for use, artifact in _cluster_reads_and_writes(prolab, summary).items():
            line = f"- {use}: `{artifact.reference}` in `{artifact.path}`, content `{artifact.digest}`"
            assert line in report.splitlines()


def _cluster_reads_and_writes(prolab: Prolab, summary: Mapping[str, Sequence[str]]) -> dict[str, Artifact]:
    store = Store(prolab.folder / "store")
    return {
        "read as descriptions": store.resolve(f"descriptions:{summary['describe'][2]}"),
        "wrote": store.resolve(f"label_space:{summary['cluster'][2]}"),
    }


def test_a_browser_shows_picture_versions_and_parameters(
    prolab: Prolab, dashboard: Dashboard, prefect_environment: dict[str, str]
) -> None:
    summary = prolab.summary()
    report = dashboard.artifacts()["cluster-report"]
    server = prefect_environment["PREFECT_API_URL"].removesuffix("/api")

    page = read_page(f"{server}/artifacts/artifact/{report.id}", "Parameters</h2>", prolab.folder / "chromium")

    picture = re.search(r'<img[^>]* src="data:image/jpeg;base64,([^"]+)"', page)
    assert picture, page
    shown = cv2.imdecode(np.frombuffer(base64.b64decode(picture[1]), np.uint8), cv2.IMREAD_COLOR)
    assert (shown.shape, shown.min(), shown.max()) == ((24, 1200, 3), 200, 200), (
        "the tiny stage's picture, made smaller"
    )
    text = re.sub(r"<[^>]*>", " ", page)
    for use, artifact in _cluster_reads_and_writes(prolab, summary).items():
        assert all(words in text for words in (use, artifact.reference, str(artifact.path), artifact.digest))
    assert f"label_space:{summary['cluster'][2]} built in" in text
    assert "properties" in text and "medoid" in text


def test_progress_stays_in_the_dashboard(prolab: Prolab, dashboard: Dashboard) -> None:
    prolab.summary()

    progress = dashboard.artifacts()["describe-progress"]
    assert (progress.type, progress.data) == ("progress", 100.0)
    assert re.match(r"describe: (\d+)/\1 class, \d+ s, classes=", progress.description)
    so_far = dashboard.artifacts()["describe-so-far"]
    assert (so_far.data, so_far.description) == ("# 3 so far", progress.description)


def test_log_lines_of_the_stages_reach_the_dashboard(prolab: Prolab, dashboard: Dashboard) -> None:
    prolab.summary()

    log = dashboard.log()
    assert ("tasks.tiny", "described road") in log
    assert ("tasks.execution", "train: running") in log


def test_failure_shows_its_cause(prolab: Prolab, dashboard: Dashboard) -> None:
    done = prolab("run", "experiment.yaml", "--set", "train.fail=true")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    cause = "train.fail: expected false, got true"
    assert done.stderr.endswith(f"error: {cause}\n")
    assert dashboard.task_states()["train"] == ("Failed", cause)
    assert (dashboard.flow_run().state_name, dashboard.flow_run().state.message) == ("Failed", cause)


def test_a_run_goes_on_without_a_server_that_is_gone(
    prolab: Prolab, mortal_server: tuple[dict[str, str], subprocess.Popen[bytes]]
) -> None:
    settings, server = mortal_server
    # Prefect asks again for more than a minute before it gives up.
    environment = prolab.environment | settings | {"PREFECT_CLIENT_MAX_RETRIES": "0"}
    prolab = dataclasses.replace(prolab, environment=environment)
    run = prolab.start("run", "experiment.yaml", "--set", "describe.seconds_per_class=4")
    answers = prolab.folder / "store" / "workspaces"
    while not any(answers.glob("*/*")):
        assert run.poll() is None
        time.sleep(0.1)

    server.kill()
    table, log = run.communicate(timeout=300)

    assert run.returncode == 0, log
    assert log.count("the Prefect server does not answer any more") == 1
    assert log.count("the dashboard is not told how far it is") == 1
    assert log.count("describe: built") == log.count("train: built") == 1
    assert "Traceback" not in log
    assert {stage: row[1] for stage, row in rows(table).items()} == {
        "index": "Cached",
        "describe": "Cached",
        "cluster": "Built",
        "train": "Built",
    }


def test_bug_gives_exit_code_1(prolab: Prolab, dashboard: Dashboard) -> None:
    train = prolab.folder / "code" / "tiny" / "train.py"
    train.write_text(train.read_text().replace('return {"loss": 0.5}', 'raise RuntimeError("a bug")'))

    done = prolab("run", "experiment.yaml")

    assert done.returncode == 1
    assert "RuntimeError: a bug" in done.stderr
    assert dashboard.flow_run().state_name == "Failed"
