"""Phrases that tell classes apart, against a real HTTP server."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer

from artifacts import FileHashes, Store
from tasks.describe import STAGE, DescribeParams
from tasks.describe.estimate import estimate
from tasks.errors import InputError
from tasks.execution import StageResult, run_stage
from tasks.progress import SilentProgress

Describe = Callable[..., StageResult]

GROUP = ("house", "shed")


@pytest.fixture
def contrast(tmp_path: Path) -> Path:
    path = tmp_path / "contrast.yaml"
    path.write_text("system: s\nuser: 'What has {category} that [{others}] lack?'\n")
    return path


@pytest.fixture
def stage(contrast: Path) -> dict[str, Any]:
    return {"contrast": (GROUP,), "contrast_prompt": contrast}


def replying(contrasts: Mapping[str, str]) -> Callable[[dict[str, Any]], str]:
    """Replies with three phrases about each class, and to contrasts by class and seed ("house 1"), or by class."""

    def reply(body: dict[str, Any]) -> str:
        question = body["messages"][-1]["content"]
        own = question.split(" that ")[0].removeprefix("What has ")
        if own != question:
            return contrasts.get(f"{own} {body['seed']}") or contrasts[own]
        name = question.removeprefix("Describe <").removesuffix(">.")
        return f"- Shape of {name}\n- Colour of {name}\n- Place of {name}"

    return reply


def texts(result: StageResult, class_name: str) -> list[str]:
    rows = result.artifact.table("descriptions.parquet").to_pylist()
    return [row["text"] for row in rows if row["class_name"] == class_name]


def attempts(result: StageResult) -> list[tuple[str, str, int]]:
    rows = result.artifact.table("responses.parquet").to_pylist()
    return [(row["class_name"], row["purpose"], row["attempt"]) for row in rows if row["purpose"] == "contrast"]


def dropped(result: StageResult) -> list[tuple[str, int, str, str]]:
    rows = result.artifact.table("dropped.parquet").to_pylist()
    return [(row["class_name"], row["attempt"], row["line"], row["reason"]) for row in rows]


def test_only_what_is_new_and_said_of_one_class_is_added(describe: Describe, contrast: Path) -> None:
    stage = {"contrast": (("house", "building-other"),), "contrast_prompt": contrast}
    classes = ("house", "building-other", "sky")
    said = {
        "house": "- Only a house has it\n- Found in towns\n- Shape of house",
        "building": "- Only a building has it\n- Found in towns\n- Colour of house",
    }
    with ChatServer(replying(said)) as server:
        describe(classes, base_url=server.base_url)
        result = describe(classes, base_url=server.base_url, stage=stage)
        assert sorted(body["messages"][-1]["content"] for body in server.requests[3:]) == [
            "What has building that [house] lack?",
            "What has house that [building] lack?",
        ]
    assert texts(result, "house") == ["Shape of house", "Colour of house", "Place of house", "Only a house has it"]
    assert texts(result, "building-other")[3:] == ["Only a building has it"]
    assert len(texts(result, "sky")) == 3
    assert dropped(result) == [
        ("house", 0, "Found in towns", "said of both"),
        ("house", 0, "Shape of house", "repeated"),
        ("building-other", 0, "Found in towns", "said of both"),
        ("building-other", 0, "Colour of house", "said of both"),
    ]
    purposes = [row["purpose"] for row in result.artifact.table("responses.parquet").to_pylist()]
    assert purposes == ["description", "contrast", "description", "contrast", "description"]


def test_an_answer_that_tells_nothing_apart_is_asked_for_again(describe: Describe, stage: dict[str, Any]) -> None:
    said = {"house 0": "- Has a roof", "shed": "- Has a roof\n- Has a lock", "house 1": "- Has a chimney"}
    with ChatServer(replying(said)) as server:
        result = describe(GROUP, base_url=server.base_url, stage=stage)
        again = [body for body in server.requests if body["seed"] == 1]
        assert [(body["messages"][-1]["content"], body["temperature"]) for body in again] == [
            ("What has house that [shed] lack?", 0.7)
        ]
        assert len(server.requests) == 5
        forced = describe(GROUP, base_url=server.base_url, stage=stage, force=True)
        assert len(server.requests) == 5
    assert attempts(result) == [("house", "contrast", 0), ("house", "contrast", 1), ("shed", "contrast", 0)]
    assert (texts(result, "house")[3:], texts(result, "shed")[3:]) == (["Has a chimney"], ["Has a lock"])
    assert dropped(result) == [
        ("house", 0, "Has a roof", "said of both"),
        ("shed", 0, "Has a roof", "said of both"),
    ]
    assert forced.artifact.digest == result.artifact.digest


def test_a_new_answer_may_send_the_others_back(describe: Describe, stage: dict[str, Any]) -> None:
    said = {
        "house 0": "- Shape of house",
        "shed 0": "- Has a lock",
        "house 1": "- Has a lock\n- Has a chimney",
        "shed 1": "- Made of planks",
    }
    with ChatServer(replying(said)) as server:
        result = describe(GROUP, base_url=server.base_url, stage=stage)
    assert [attempt for *_, attempt in attempts(result)] == [0, 1, 0, 1]
    assert (texts(result, "house")[3:], texts(result, "shed")[3:]) == (["Has a chimney"], ["Made of planks"])
    assert dropped(result) == [
        ("house", 0, "Shape of house", "repeated"),
        ("house", 1, "Has a lock", "said of both"),
        ("shed", 0, "Has a lock", "said of both"),
    ]


def test_what_stays_alike_is_named_once_all_attempts_are_spent(describe: Describe, stage: dict[str, Any]) -> None:
    same = {"house": "- Has a roof\n- Has a door", "shed": "- has a door\n- Has a roof"}
    message = (
        r"'house' as against 'shed' in 2 attempts by test-model: expected at least 1 phrases, the last answer has 0 "
        r"\(dropped lines: 2 said of both\)(.|\n)*describe\.contrast_provider(.|\n)*"
        r"'shed' as against 'house' in 2 attempts"
    )
    with ChatServer(replying(same)) as server:
        with pytest.raises(InputError, match=message):
            describe(GROUP, base_url=server.base_url, stage=stage, attempts=2)
        assert len(server.requests) == 2 + 4
        with pytest.raises(InputError, match=message):
            describe(GROUP, base_url=server.base_url, stage=stage, attempts=2)
        assert len(server.requests) == 2 + 4


def test_contrasts_are_sent_in_batches_too(describe: Describe, stage: dict[str, Any]) -> None:
    said = {"house 0": "- Shape of house", "house 1": "- Has a chimney", "shed": "- Has a lock"}
    with ChatServer(replying(said)) as server:
        describe(GROUP, base_url=server.base_url, stage=stage, batch=True, batch_poll=0.05)
        assert len(server.batches) == 3


def test_descriptions_and_contrasts_of_one_provider_have_one_budget(describe: Describe, stage: dict[str, Any]) -> None:
    with (
        ChatServer(replying({"house": "- Has a chimney", "shed": "- Has a lock"})) as server,
        pytest.raises(InputError, match=r"budget\.requests = 3 could be passed"),
    ):
        describe(GROUP, base_url=server.base_url, stage=stage, budget={"requests": 3})


def test_another_model_may_be_asked_to_tell_apart(describe: Describe, stage: dict[str, Any]) -> None:
    with ChatServer(replying({"house": "- Has a chimney", "shed": "- Has a lock"})) as server:
        other = {"type": "openai", "model": "large", "base_url": server.base_url, "revision": "7", "seed": 5}
        result = describe(GROUP, base_url=server.base_url, stage={**stage, "contrast_provider": other})
        assert len(server.requests) == 4
        described_anew = describe(
            GROUP, base_url=server.base_url, stage={**stage, "contrast_provider": {**other, "revision": "8"}}
        )
        assert len(server.requests) == 6
    rows = result.artifact.table("responses.parquet").to_pylist()
    asked = {(row["purpose"], row["model"], json.loads(row["parameters"])["revision"]) for row in rows}
    assert asked == {("description", "test-model", None), ("contrast", "large", "7")}
    assert {json.loads(row["parameters"])["seed"] for row in rows} == {0, 5}
    assert "From test-model, contrasts from large:" in result.artifact.file("report.md").read_text()
    assert not described_anew.hit and described_anew.artifact.digest == result.artifact.digest


class TestFile:
    """Descriptions from a file, complemented by a language model."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "descriptors.json"
        path.write_text(json.dumps({"house": ["Has walls.", "Has a roof"], "shed": ["Small"], "sky": ["Blue"]}))
        return path

    @pytest.fixture
    def settings(self, path: Path, stage: dict[str, Any]) -> dict[str, Any]:
        return {**stage, "classes": (*GROUP, "sky"), "provider": {"type": "file", "path": path}}

    def test_what_the_file_says_stays_and_what_the_model_adds_is_recorded(
        self, settings: dict[str, Any], tmp_path: Path
    ) -> None:
        store = Store(tmp_path / "store")
        said = {"house": "- Has a chimney", "shed 0": "- Has a roof\n- Small", "shed": "- Has a lock"}
        with ChatServer(replying(said)) as server:
            model = {"type": "openai", "model": "large", "base_url": server.base_url}
            params = DescribeParams(**settings, contrast_provider=model)
            before = estimate(params, store.cache(STAGE.name))
            result = run_stage(STAGE, params, {}, store, SilentProgress())
            assert len(server.requests) == 3
            assert run_stage(STAGE, params, {}, store, SilentProgress()).hit
            for change in ({"model": "other"}, {"seed": 3}):
                changed = DescribeParams(**settings, contrast_provider={**model, **change})
                assert not run_stage(STAGE, changed, {}, store, SilentProgress()).hit
            assert len(server.requests) == 3 + 3 + 2
        assert texts(result, "house") == ["Has walls.", "Has a roof", "Has a chimney"]
        assert texts(result, "shed") == ["Small", "Has a lock"]
        assert texts(result, "sky") == ["Blue"]
        assert attempts(result) == [("house", "contrast", 0), ("shed", "contrast", 0), ("shed", "contrast", 1)]
        assert dropped(result) == [("shed", 0, "Has a roof", "said of both"), ("shed", 0, "Small", "repeated")]
        assert (
            "From file descriptors.json, contrasts from large: 3 requests"
            in result.artifact.file("report.md").read_text()
        )
        after = estimate(params, store.cache(STAGE.name))
        assert [(item.questions, item.kept, item.likely.requests, item.most.requests) for item in (before, after)] == [
            (2, 0, 2, 6),
            (2, 2, 0, 0),
        ]

    def test_a_model_file_is_in_the_key(self, settings: dict[str, Any], tmp_path: Path) -> None:
        weights = tmp_path / "model.gguf"
        hashes = FileHashes(tmp_path / "hashes.json")
        keys = []
        for content in (b"one", b"another"):
            weights.write_bytes(content)
            provider = {"type": "llama_cpp", "model": str(weights)}
            keys.append(DescribeParams(**settings, contrast_provider=provider).external(hashes))
        assert set(keys[0]) == {"descriptors", "contrast_prompt", "contrast_provider"}
        assert keys[0]["contrast_provider"] != keys[1]["contrast_provider"]


def test_an_open_answer_may_send_every_contrast_back(
    describe: Describe, stage: dict[str, Any], prompt: Path, tmp_path: Path
) -> None:
    """So that what is asked stays below what the estimate says it is at most."""
    with ChatServer(replying({"house": "- Has a chimney", "shed": "- Has a lock", "barn": "- Is large"})) as server:
        describe(GROUP, base_url=server.base_url, stage=stage)
        params = DescribeParams(
            classes=(*GROUP, "barn"),
            prompt=prompt,
            provider={"type": "openai", "model": "test-model", "prices": {"prompt": 1, "completion": 2}},
            **{**stage, "contrast": (GROUP, ("house", "barn"))},
        )
        figures = estimate(params, Store(tmp_path / "store").cache(STAGE.name))
        assert len(server.requests) == 4
    # Open are the description of the barn, and both contrasts of the second group.
    assert (figures.questions, figures.kept, figures.likely.requests) == (7, 4, 3)
    assert figures.most.requests == 3 * (1 + 4)
    assert figures.likely_cost is not None and figures.likely_cost > 3 * 130 * 2e-6
