"""A store, a prompt and a server to ask."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from artifacts import Store
from tasks.describe import STAGE, DescribeParams
from tasks.execution import StageResult, run_stage
from tasks.progress import SilentProgress

# The tests import `chat_server` from this folder.
sys.path.insert(0, str(Path(__file__).parent))

from chat_server import ChatServer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    path = tmp_path / "prompt.yaml"
    path.write_text("system: You describe.\nuser: 'Describe <{category}>.'\n")
    return path


@pytest.fixture
def server() -> Iterator[ChatServer]:
    def reply(body: dict[str, Any]) -> str:
        subject = body["messages"][-1]["content"]
        return f"- Shape of {subject}\n- Colour of {subject}\n- Place of {subject}"

    with ChatServer(reply) as server:
        yield server


@pytest.fixture
def describe(store: Store, prompt: Path, server: ChatServer) -> Callable[..., StageResult]:
    """Runs the stage against the server: `describe(("road", "car"), attempts=2, model="other")`."""

    def run(
        classes: tuple[str, ...],
        *,
        force: bool = False,
        stage: dict[str, Any] | None = None,
        attempts: int = 3,
        **provider: Any,
    ) -> StageResult:
        settings = {"type": "openai", "model": "test-model", "base_url": server.base_url, **provider}
        params = DescribeParams(classes=classes, prompt=prompt, attempts=attempts, provider=settings, **(stage or {}))
        return run_stage(STAGE, params, {}, store, SilentProgress(), force=force)

    return run
