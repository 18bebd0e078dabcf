"""Contexts, glosses and contrasts, against a real HTTP server."""

from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer

from tasks.describe import DescribeParams
from tasks.errors import InputError
from tasks.execution import StageResult

Describe = Callable[..., StageResult]


@pytest.fixture
def contrast(tmp_path: Path) -> Path:
    path = tmp_path / "contrast.yaml"
    path.write_text("system: s\nuser: 'What has {category} that [{others}] lack?'\n")
    return path


def reply(body: dict[str, object]) -> str:
    """Every contrast has a phrase of its own, one that is common, and one that the description has."""
    question = str(body["messages"][-1]["content"])  # type: ignore[index]
    own = question.split(" that ")[0].removeprefix("What has ")
    if own != question:
        return f"- Only a {own} has it\n- Found in towns\n- Shape of {own}"
    name = question.removeprefix("Describe <").removesuffix(">.")
    return f"- Shape of {name}\n- Colour of {name}\n- Place of {name}"


def texts(result: StageResult, class_name: str) -> list[str]:
    rows = result.artifact.table("descriptions.parquet").to_pylist()
    return [row["text"] for row in rows if row["class_name"] == class_name]


def test_a_group_is_contrasted_and_only_what_is_new_and_its_own_is_added(describe: Describe, contrast: Path) -> None:
    stage = {"contrast": (("house", "building-other"),), "contrast_prompt": contrast}
    with ChatServer(reply) as server:
        describe(("house", "building-other", "sky"), base_url=server.base_url)
        result = describe(("house", "building-other", "sky"), base_url=server.base_url, stage=stage)
        assert [body["messages"][-1]["content"] for body in server.requests[3:]] in (
            [a, b] if first else [b, a]
            for a, b in [("What has house that [building] lack?", "What has building that [house] lack?")]
            for first in (True, False)
        )
    assert texts(result, "house") == ["Shape of house", "Colour of house", "Place of house", "Only a house has it"]
    assert len(texts(result, "sky")) == 3
    dropped = result.artifact.table("dropped.parquet").to_pylist()
    assert [(row["class_name"], row["purpose"], row["line"], row["reason"]) for row in dropped] == [
        (name, "contrast", line, reason)
        for name, said in (("house", "house"), ("building-other", "building"))
        for line, reason in (("Found in towns", "said of both"), (f"Shape of {said}", "repeated"))
    ]
    purposes = [row["purpose"] for row in result.artifact.table("responses.parquet").to_pylist()]
    assert purposes == ["description", "contrast", "description", "contrast", "description"]


def test_a_contrast_that_says_nothing_new_is_named(describe: Describe, contrast: Path) -> None:
    stage = {"contrast": (("house", "shed"),), "contrast_prompt": contrast}
    message = r"Contrast of 'house', 'shed': the answer about 'house' says nothing"
    same = "- Has a roof\n- Has four walls\n- Has a door"
    with ChatServer(lambda body: same) as server, pytest.raises(InputError, match=message):
        describe(("house", "shed"), base_url=server.base_url, stage=stage)


def test_a_changed_gloss_asks_about_its_class_alone(describe: Describe, server: ChatServer) -> None:
    classes = ("mouse", "road")
    describe(classes)
    describe(classes, stage={"glosses": {"mouse": "a computer's pointing device"}})
    assert [body["messages"][-1]["content"] for body in server.requests[2:]] == [
        "Describe <mouse (a computer's pointing device)>."
    ]


def test_a_context_is_said_where_the_prompt_has_a_place_for_it(
    describe: Describe, server: ChatServer, prompt: Path
) -> None:
    with pytest.raises(InputError, match="the description prompt has no key `context`"):
        describe(("road",), stage={"context": "aerial views"})
    prompt.write_text(prompt.read_text() + "context: All photos show {context}.\n")
    describe(("road",), stage={"context": "aerial views"})
    assert server.requests[0]["messages"][0]["content"] == "You describe. All photos show aerial views."


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"glosses": {"mose": "?"}}, "not among the classes: 'mose'"),
        ({"contrast": (("road", "car"),)}, "contrast_prompt"),
        ({"contrast": (("road",),), "contrast_prompt": "x"}, "two or more"),
        ({"contrast": (("road", "sea"),), "contrast_prompt": "x"}, "'sea'"),
        ({"provider": {"type": "file", "path": "x"}, "contrast": (("road", "car"),)}, "cannot be asked"),
        ({"prompt": None}, "needs `prompt`"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object], message: str) -> None:
    valid = {"classes": ("road", "car"), "prompt": "p.yaml", "provider": {"type": "openai", "model": "m"}}
    with pytest.raises(ValueError, match=message):
        DescribeParams(**(valid | settings))
