"""The Batch API against a real HTTP server."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer

from tasks.errors import InputError
from tasks.execution import StageResult
from tests.conftest import REPOSITORY

Describe = Callable[..., StageResult]

CLASSES = ("road", "car", "tree")
BATCH = {"batch": True, "batch_poll": 0.05}


def test_all_questions_go_in_one_batch(describe: Describe, server: ChatServer, tmp_path: Path) -> None:
    server.looks = 2
    result = describe(CLASSES, **BATCH)
    assert list(server.batches) == ["batch-0"]
    assert set(server.keys) == {None}  # none was asked one by one
    rows = result.artifact.table("responses.parquet").to_pylist()
    assert [row["text"].splitlines()[0] for row in rows] == [f"- Shape of Describe <{name}>." for name in CLASSES]
    assert {row["seconds"] for row in rows} == {60.0}
    assert not list((tmp_path / "store").rglob("ahead/*.json"))
    assert describe(CLASSES).hit


def test_what_a_batch_fails_at_is_asked_one_by_one(describe: Describe, server: ChatServer) -> None:
    server.trouble[:] = [500]
    result = describe(CLASSES, **BATCH)
    assert [key is None for key in server.keys] == [True, True, True, False]
    assert result.artifact.manifest.summary["descriptions"] == 9


def test_unusable_answers_are_asked_again_in_another_batch(describe: Describe) -> None:
    def reply(body: dict[str, object]) -> str:
        return (
            "Sorry"
            if "car" in str(body["messages"]) and body["seed"] == 0
            else "- One thing\n- Two things\n- Third thing"
        )

    with ChatServer(reply) as server:
        result = describe(CLASSES, base_url=server.base_url, **BATCH)
    assert list(server.batches) == ["batch-0", "batch-1"]
    assert [row["attempt"] for row in result.artifact.table("responses.parquet").to_pylist()] == [0, 0, 1, 0]


def test_a_batch_beyond_the_budget_is_not_sent(describe: Describe, server: ChatServer) -> None:
    with pytest.raises(InputError, match=r"budget\.requests = 2 could be passed"):
        describe(CLASSES, budget={"requests": 2}, **BATCH)
    assert not server.batches


@pytest.mark.parametrize("without_record", [False, True])
def test_a_killed_run_goes_on_with_its_batch(
    describe: Describe, server: ChatServer, tmp_path: Path, prompt: Path, without_record: bool
) -> None:
    """Also when it was killed before it had noted the batch's id."""
    server.looks = 1_000_000
    program = f"""
from pathlib import Path
from artifacts import Store
from tasks.describe import STAGE, DescribeParams
from tasks.execution import run_stage
from tasks.progress import SilentProgress
params = DescribeParams(classes={CLASSES!r}, prompt=Path({str(prompt)!r}), provider=dict(
    type="openai", model="test-model", base_url={server.base_url!r}, batch=True, batch_poll=0.05))
run_stage(STAGE, params, {{}}, Store(Path({str(tmp_path / "store")!r})), SilentProgress())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}
    )
    while not (records := list((tmp_path / "store").rglob("ahead/*.json"))) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    if without_record:
        records[0].unlink()
    server.looks = 0
    result = describe((*CLASSES, "sky"), **BATCH) if not without_record else describe(CLASSES, **BATCH)
    assert len(server.batches) == (1 if without_record else 2)
    asked = [body["messages"][-1]["content"] for body in server.requests]
    assert len(asked) == len(set(asked)) == result.artifact.manifest.summary["classes"]
