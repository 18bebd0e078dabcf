"""The flows of single stages, with the tiny stages, against a real Prefect server."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import get_client
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling
from tiny import describe as tiny_describe
from tiny import stages as stages_of_tiny
from tiny import train as tiny_train
from tiny.experiment import TinyExperiment

import flows.experiment
from artifacts import Artifact, Store, UnreachableError
from flows import stages
from flows.pipeline import prolab_pipeline
from flows.stages import stage_flow
from flows.work_pools import limit_training
from tasks import prefect_task
from tasks.describe.answers import ProviderError
from tasks.errors import InputError

pytestmark = pytest.mark.slow

EXPERIMENT = """\
name: tiny
dataset:
  names: [first.jpg, second.jpg]
describe:
  provider: {type: llm, model: a}
"""
DESCRIBE = stage_flow("describe", stages_of_tiny.DESCRIBE)
CLUSTER = stage_flow("cluster", stages_of_tiny.CLUSTER)
OTHER_MODEL = ["describe.provider.model=c"]


@pytest.fixture(autouse=True)
def server(prefect_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(flows.experiment, "Experiment", TinyExperiment)
    with temporary_settings({PREFECT_API_URL: prefect_environment["PREFECT_API_URL"]}):
        yield
        # Or else the process tries in vain at its end, when the server is gone.
        APILogWorker.drain_all()
        EventsWorker.drain_all()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def run(tmp_path: Path, store: Store) -> Callable[..., Any]:
    """Run a flow on the tiny experiment and return its state."""
    experiment = tmp_path / "tiny.yaml"
    experiment.write_text(EXPERIMENT)

    def run(flow: Any, **parameters: Any) -> Any:
        return flow(experiment=experiment, store=store.root, return_state=True, **parameters)

    return run


def _states(state: Any) -> dict[str, str]:
    return {outcome.stage: outcome.state for outcome in state.result()}


def test_pipeline_takes_what_a_stage_made_and_rebuilds_what_lies_behind(run: Callable[..., Any], store: Store) -> None:
    first = run(prolab_pipeline)
    store.tag(store.resolve("label_space"), "before")

    described = run(DESCRIBE, overrides=OTHER_MODEL)

    assert _states(described) == {"describe": "Built"}
    rebuilt = {"index": "Cached", "describe": "Cached", "cluster": "Built", "train": "Built"}
    assert _states(run(prolab_pipeline, overrides=OTHER_MODEL)) == rebuilt
    back = run(prolab_pipeline, overrides=OTHER_MODEL, pins={"cluster": "before"})
    assert _states(back) == {"index": "Cached", "cluster": "Pinned", "train": "Cached"}
    assert back.result()[-1].artifact == first.result()[-1].artifact


def test_section_takes_the_place_of_the_experiments(run: Callable[..., Any]) -> None:
    state = run(DESCRIBE, describe={"provider": {"type": "llm", "model": "c"}}, overrides=["describe.threads=2"])

    (outcome,) = state.result()
    assert outcome.artifact.manifest.parameters["provider"]["model"] == "c"
    assert outcome.artifact.manifest.recorded["threads"] == 2


def test_inputs_by_version_or_tag(run: Callable[..., Any], store: Store) -> None:
    (described,) = run(DESCRIBE, overrides=OTHER_MODEL).result()
    store.tag(described.artifact, "good")

    for descriptions in (described.artifact.reference, "good"):
        pinned, clustered = run(CLUSTER, descriptions=descriptions).result()
        assert (pinned.state, pinned.artifact) == ("Pinned", described.artifact)
        assert clustered.artifact.manifest.inputs["descriptions"].version == described.artifact.version


def test_input_that_is_not_there(run: Callable[..., Any]) -> None:
    not_made = run(CLUSTER)
    not_named = run(CLUSTER, descriptions="production")

    assert not_made.message.startswith("--only cluster needs the descriptions of stage describe, which the store does")
    assert not_named.message.startswith("--pin describe=production: ")
    assert {not_made.name, not_named.name} == {"Failed"}


def test_wrong_values_are_refused_by_name(run: Callable[..., Any], store: Store) -> None:
    overridden = run(DESCRIBE, overrides=["describe.provider.modell=c"])
    given = run(prolab_pipeline, cluster={"properties": 0})

    assert "describe.provider.modell: unknown key; did you mean 'model'?" in overridden.message
    assert given.message.startswith("parameters of the run: cluster.properties: ")
    assert store.list() == []


def test_promote(run: Callable[..., Any], store: Store) -> None:
    run(DESCRIBE)

    promoted = stages.promote("descriptions", store=store.root, return_state=True)
    unknown = stages.promote("checkpoint:3fa9", store=store.root, return_state=True)

    made = store.resolve("descriptions:production")
    assert promoted.message == f"descriptions:production is {made.reference}"
    assert unknown.name == "Failed"
    assert "checkpoint" in unknown.message


class Flaky:
    """Describes at the third attempt."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.attempts = 0

    def __call__(self, provider: Any, name: str) -> str:
        self.attempts += 1
        if self.attempts < 3:
            raise self.error
        return name


def test_what_may_pass_is_tried_again_and_wrong_input_is_not(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefect_task, "_SECONDS_BEFORE_RETRIES", (0.0, 0.0))
    for error, attempts, state in (
        (ProviderError("no answer"), 5, "Completed"),
        (UnreachableError("no answer"), 5, "Completed"),
        (InputError("no such model"), 1, "Failed"),
        (KeyError("a bug"), 1, "Failed"),
    ):
        ask = Flaky(error)
        monkeypatch.setattr(tiny_describe, "_ask", ask)
        ended = run(DESCRIBE, force=True)
        assert (ended.name, ask.attempts) == (state, attempts)


def test_remote_that_comes_back_is_asked_again(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here for an input that is pulled, outside of the stage's own task."""
    monkeypatch.setattr(prefect_task, "_SECONDS_BEFORE_RETRIES", (1.0, 30.0))
    remote, away = tmp_path / "remote", tmp_path / "away"
    monkeypatch.setenv("PROLAB_REMOTE", str(remote))
    (described,) = run(DESCRIBE).result()
    shutil.rmtree(tmp_path / "store")
    remote.rename(away)
    remote.symlink_to(remote)

    def come_back() -> None:
        remote.unlink()
        away.rename(remote)

    timer = threading.Timer(0.5, come_back)
    timer.start()
    pinned, clustered = run(CLUSTER, descriptions=described.artifact.version).result()

    assert pinned.artifact.version == described.artifact.version
    assert clustered.state == "Built"


def test_version_that_the_remote_takes_late_is_announced(
    run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try that builds it fails; the next one finds it in the store."""
    monkeypatch.setattr(prefect_task, "_SECONDS_BEFORE_RETRIES", (0.1,))
    remote, away = tmp_path / "remote", tmp_path / "away"
    remote.mkdir()
    monkeypatch.setenv("PROLAB_REMOTE", str(remote))
    may_pass = prefect_task._may_pass

    def break_remote_and_describe(provider: Any, name: str) -> str:
        if not away.exists():
            remote.rename(away)
            remote.symlink_to(remote)
        return f"{name}, of which no other test makes a version"

    def mend_remote_and_decide(*asked: Any) -> bool:
        remote.unlink()
        away.rename(remote)
        return may_pass(*asked)

    monkeypatch.setattr(tiny_describe, "_ask", break_remote_and_describe)
    monkeypatch.setattr(prefect_task, "_may_pass", mend_remote_and_decide)
    (described,) = run(DESCRIBE).result()
    (again,) = run(DESCRIBE).result()

    assert (described.state, again.state) == ("Cached", "Cached")
    EventsWorker.drain_all()
    assert _announced(described.artifact) == 1


def _announced(artifact: Artifact) -> int:
    """How many events the server has that say that the artifact was published; they come in a moment later."""
    version = {"prolab.version": artifact.version}
    query = {"filter": {"event": {"name": [prefect_task.PUBLISHED]}, "resource": {"labels": version}}}
    for _ in range(120):
        found = httpx.post(f"{PREFECT_API_URL.value()}/events/filter", json=query).raise_for_status().json()["total"]
        if found:
            break
        time.sleep(0.5)
    return int(found)


def test_run_that_did_not_hear_of_its_cancellation(
    run: Callable[..., Any], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was away does not tell it; what it then reports, the server does not take for a run to cancel."""

    def cancel_and_describe(provider: Any, name: str) -> str:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(context.flow_run.id, Cancelling())
        return name

    monkeypatch.setattr(tiny_describe, "_ask", cancel_and_describe)
    ended = run(DESCRIBE)

    assert ended.name == "Cancelled"
    assert store.resolve("descriptions").table("rows.parquet").num_rows == 3


def test_stage_that_takes_too_long(run: Callable[..., Any]) -> None:
    ended = run(DESCRIBE, overrides=["describe.seconds_per_class=1"], timeout=0.5)

    assert ended.name == "TimedOut"
    assert "timed out after 0.5 second" in ended.message


def test_only_so_many_train_at_once(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with get_client(sync_client=True) as client:
        assert limit_training(client, 1) == limit_training(client, None) == 1

        def running(context: Any) -> dict[str, Any]:
            active.append(client.read_global_concurrency_limit_by_name("tag:train").active_slots)
            return train(context)

        active: list[int] = []
        train = tiny_train.run
        monkeypatch.setattr(tiny_train, "run", running)
        run(prolab_pipeline)

        assert active == [1]
        assert client.read_global_concurrency_limit_by_name("tag:train").active_slots == 0


def test_network_that_the_store_has_does_not_wait_for_others_that_train(run: Callable[..., Any]) -> None:
    run(prolab_pipeline)
    with get_client(sync_client=True) as client:
        limit_training(client, 1)
        client.increment_concurrency_slots(["tag:train"], 1, "concurrency")
        give_up = threading.Timer(30, client.release_concurrency_slots, (["tag:train"], 1, 30.0))
        give_up.start()
        run(prolab_pipeline)
        give_up.cancel()

        assert client.read_global_concurrency_limit_by_name("tag:train").active_slots == 1
        client.release_concurrency_slots(["tag:train"], 1, 30.0)
