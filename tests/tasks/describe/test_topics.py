"""Contexts and glosses, against a real HTTP server, and settings that are refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer

from tasks.describe import DescribeParams
from tasks.errors import InputError
from tasks.execution import StageResult

Describe = Callable[..., StageResult]


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
        ({"contrast": (("road", "car"), ("car", "road")), "contrast_prompt": "x"}, "the same group comes twice"),
        (
            {"provider": {"type": "file", "path": "x"}, "contrast": (("road", "car"),)},
            "cannot be asked; say who can, for instance contrast_provider: {type: openai",
        ),
        ({"contrast_provider": {"type": "file", "path": "x"}}, "'llama_cpp', 'openai'"),
        ({"prompt": None}, "needs `prompt`"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object], message: str) -> None:
    valid = {"classes": ("road", "car"), "prompt": "p.yaml", "provider": {"type": "openai", "model": "m"}}
    with pytest.raises(ValueError, match=message):
        DescribeParams(**(valid | settings))
