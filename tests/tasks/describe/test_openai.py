"""The stage describe against a real HTTP server."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer

from tasks.describe.answers import ProviderError
from tasks.errors import InputError
from tasks.execution import StageResult

Describe = Callable[..., StageResult]

KEY = "sk-very-secret-0123456789"
CLASSES = tuple(f"class_{letter}" for letter in "abcdefghijklmnop")


def test_every_class_is_asked_once_and_named_as_a_person_would(describe: Describe, server: ChatServer) -> None:
    result = describe(("bed ", "traffic_light"))
    messages = sorted(body["messages"][-1]["content"] for body in server.requests)
    assert messages == ["Describe <bed>.", "Describe <traffic light>."]
    rows = result.artifact.table("descriptions.parquet").to_pylist()
    assert [(row["class_id"], row["class_name"], row["position"]) for row in rows] == [
        (class_id, name, position) for class_id, name in enumerate(("bed ", "traffic_light")) for position in range(3)
    ]
    responses = result.artifact.table("responses.parquet").to_pylist()
    assert [row["text"].splitlines()[0] for row in responses] == [
        "- Shape of Describe <bed>.",
        "- Shape of Describe <traffic light>.",
    ]
    assert {row["prompt_tokens"] for row in responses} == {10}


def test_a_new_class_is_the_only_one_that_is_asked_about(describe: Describe, server: ChatServer) -> None:
    describe(("road", "car"))
    result = describe(("car", "tree", "road"))
    assert len(server.requests) == 3
    assert result.artifact.manifest.summary["requests"] == 1
    describe(("car", "tree", "road"), force=True)
    assert len(server.requests) == 3


@pytest.mark.parametrize("change", [{"model": "other"}, {"seed": 1}, {"temperature": 0.5}, {"revision": "2"}])
def test_what_changes_the_answer_is_asked_anew(
    describe: Describe, server: ChatServer, change: dict[str, object]
) -> None:
    describe(("road",))
    assert not describe(("road",), **change).hit
    assert len(server.requests) == 2


@pytest.mark.parametrize("change", [{"concurrency": 1}, {"timeout": 5.0}, {"api_key_env": "OTHER_KEY"}])
def test_what_does_not_change_the_answer_is_a_hit(
    describe: Describe, server: ChatServer, change: dict[str, object]
) -> None:
    describe(("road",))
    assert describe(("road",), **change).hit


def test_a_comment_in_the_prompt_is_a_hit_and_other_words_are_asked_anew(
    describe: Describe, server: ChatServer, prompt: Path
) -> None:
    describe(("road",))
    prompt.write_text("# a comment\n" + prompt.read_text())
    assert describe(("road",)).hit
    prompt.write_text(prompt.read_text().replace("Describe", "Please describe"))
    assert not describe(("road",)).hit
    assert len(server.requests) == 2


def test_passing_trouble_is_waited_out(describe: Describe, server: ChatServer) -> None:
    server.trouble[:] = [429, 500, 503]
    assert describe(("road",)).artifact.manifest.summary["descriptions"] == 3
    assert len(server.requests) == 4


def test_an_empty_answer_is_asked_again_with_another_seed(describe: Describe, server: ChatServer) -> None:
    server.trouble[:] = ["empty"]
    result = describe(("road",), seed=5)
    assert [(body["seed"], body["temperature"]) for body in server.requests] == [(5, 0.0), (6, 0.7)]
    assert [row["attempt"] for row in result.artifact.table("responses.parquet").to_pylist()] == [0, 1]


def test_a_class_without_usable_answers_is_named_and_the_others_are_kept(describe: Describe, prompt: Path) -> None:
    def reply(body: dict[str, object]) -> str:
        return "I cannot help" if "fog" in str(body["messages"]) else "- One thing\n- Another thing\n- A third thing"

    with ChatServer(reply) as server:
        with pytest.raises(
            InputError, match=r"'fog' in 2 attempts.*at least 3 phrases.*1 refusal.*'I cannot help'.*describe\.attempts"
        ):
            describe(("road", "car", "fog"), attempts=2, concurrency=1, base_url=server.base_url)
        describe(("road", "car"), concurrency=1, base_url=server.base_url)
        assert len(server.requests) == 4


@pytest.mark.parametrize(("status", "error"), [(401, InputError), (404, InputError), (500, ProviderError)])
def test_a_server_that_refuses_is_explained_without_the_key(
    describe: Describe,
    server: ChatServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    status: int,
    error: type[Exception],
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("TEST_KEY", KEY)
    server.trouble[:] = [status]
    with pytest.raises(error, match=rf"test-model.*trouble {status}") as raised:
        describe(("road",), api_key_env="TEST_KEY", max_retries=0)
    describe(("road",), api_key_env="TEST_KEY")
    assert server.keys == [f"Bearer {KEY}"] * 2
    assert KEY not in str(raised.value) + repr(raised.value) + caplog.text
    assert raised.value.__cause__ is None
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_openai_itself_needs_a_key(describe: Describe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match="OPENAI_API_KEY"):
        describe(("road",), base_url=None)


def test_questions_are_asked_side_by_side(describe: Describe) -> None:
    all_under_way = threading.Barrier(4, timeout=30)

    def reply(body: object) -> str:
        all_under_way.wait()  # breaks, and fails the request, unless the four are here together
        return "- One thing\n- Another thing\n- A third thing"

    with ChatServer(reply) as server:
        described = describe(tuple(f"class {index}" for index in range(4)), base_url=server.base_url, concurrency=4)
    assert described.artifact.manifest.summary["classes"] == 4
    assert not all_under_way.broken


def test_a_damaged_kept_answer_is_asked_for_again(
    describe: Describe, server: ChatServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    describe(("road",))
    (entry,) = (tmp_path / "store").rglob("answers/*/*.json")
    assert json.loads(entry.read_text())["asked"]["question"]["subject"] == "road"
    entry.write_text(entry.read_text()[:40])
    describe(("road",), force=True)
    assert len(server.requests) == 2
    assert "damaged" in caplog.text


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_goes_on_where_it_stopped(
    describe: Describe, tmp_path: Path, prompt: Path, death: signal.Signals
) -> None:
    """A process that dies in the middle; the next one asks only about classes that had no answer."""
    program = f"""
from pathlib import Path
from artifacts import Store
from tasks.describe import STAGE, DescribeParams
from tasks.execution import run_stage
from tasks.progress import SilentProgress
params = DescribeParams(classes={CLASSES!r}, prompt=Path({str(prompt)!r}),
    provider=dict(type="openai", model="test-model", concurrency=2, base_url="BASE_URL"))
run_stage(STAGE, params, {{}}, Store(Path({str(tmp_path / "store")!r})), SilentProgress())
"""
    with ChatServer(lambda body: "- One thing\n- Another thing\n- A third thing", delay=0.2) as server:
        repository = Path(__file__).parents[3]
        process = subprocess.Popen(
            [sys.executable, "-c", program.replace("BASE_URL", server.base_url)],
            cwd=repository,
            env=os.environ | {"PYTHONPATH": str(repository)},
            stderr=subprocess.DEVNULL,
        )
        while len(server.requests) < 5 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(death)
        assert process.wait(timeout=30) != 0
        before = len(server.requests)
        assert 5 <= before < len(CLASSES)
        kept = len(list((tmp_path / "store").rglob("answers/*/*.json")))
        assert kept >= 3
        result = describe(CLASSES, base_url=server.base_url)
        assert len(server.requests) - before == len(CLASSES) - kept
        assert result.artifact.manifest.summary["answers_from_cache"] == kept
