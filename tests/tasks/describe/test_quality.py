import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from chat_server import ChatServer

from tasks.describe.prompt import read_prompt
from tasks.describe.quality import assess
from tasks.execution import StageResult
from tests.conftest import REPOSITORY


def test_figures_of_a_class() -> None:
    figures = assess(
        {
            "traffic_light": [
                "Traffic lights hang above streets",
                "Used for safety",
                "Made of metal",
                "Solid and opaque, nothing behind it shows",
            ],
            "pole": ["made of metal"],
        },
        {"traffic_light": ["repeated", "unfinished", "heading", "repeated"]},
        {"Solid and opaque, so nothing behind it shows"},
    )["traffic_light"]
    assert (figures.descriptions, figures.longest_words, figures.repeats, figures.shared) == (4, 7, 2, 1)
    assert (figures.unfinished, figures.incoherent) == (1, 0)
    assert (figures.mean_words, figures.names_class, figures.example_copies, figures.non_visual) == (4.5, 0.25, 1, 1)


@pytest.mark.parametrize(
    "text",
    ["Provides shade", "Smells sweet", "Often expensive", "A symbol of freedom", "Serves as a seat", "A loud noise"],
)
def test_what_no_photo_shows(text: str) -> None:
    assert assess({"a": [text]}, {})["a"].non_visual == 1


@pytest.mark.parametrize(
    "text", ["Red used bricks", "Four legs", "Covered in lawn", "Costume in bright colours", "Observes from a perch"]
)
def test_what_a_photo_shows(text: str) -> None:
    assert assess({"a": [text]}, {})["a"].non_visual == 0


@pytest.mark.parametrize(
    "text",
    [
        "A small piece of glass, which we can see from afar",
        "You'll find this thing in a street",
        "I also included the adjective for clarity",
        "In this sentence the fence is a noun",
        "A person in eight short phrases, one on each line",
        "CARS ARE ALMOST LIKE THIS CARS",
        "A round round wheel",
        "It has a rounded shape, with a rounded shape on its surface",
        "A type of high-speed, high-speed vehicle",
    ],
)
def test_what_no_description_does(text: str) -> None:
    assert assess({"a": [text]}, {})["a"].incoherent == 1


@pytest.mark.parametrize(
    "text",
    [
        "Red, white and blue",
        "Shows the word STOP",
        "HDMI, USB, VGA, DVI ports",
        "Wider at the top and narrower at the bottom",
        "Different types, such as I-beam or round, with or without a foot",
        "Coffee tables, dining tables, and side tables",
    ],
)
def test_what_a_description_may_do(text: str) -> None:
    assert assess({"a": [text]}, {})["a"].incoherent == 0


@pytest.mark.parametrize("dataset", ["ade20k", "cityscapes_bdd", "pascal_context_59", "coco_stuff_164k"])
def test_no_released_description_is_unfinished_or_incoherent(shared_data: Path, dataset: str) -> None:
    """But for "broccoli, broccoli rabe, and broccolini"."""
    path = shared_data / "descriptors" / f"descriptors_{dataset}_gpt3.5_cluster.json"
    figures = assess(json.loads(path.read_text()), {})
    assert [name for name, item in figures.items() if item.unfinished or item.incoherent] in ([], ["broccoli"])


def test_the_released_descriptions_of_ade20k(shared_data: Path) -> None:
    phrases = json.loads((shared_data / "descriptors" / "descriptors_ade20k_gpt3.5_cluster.json").read_text())
    prompt = read_prompt(REPOSITORY / "configs" / "prompts" / "structured.yaml")
    examples = [phrase for texts in prompt.examples().values() for phrase in texts]
    figures = assess(phrases, {}, examples).values()
    assert sum(item.descriptions for item in figures) == 1478
    assert 50 < sum(round(item.names_class * item.descriptions) for item in figures) < 72  # 71 with names within words
    assert sum(item.mean_words * item.descriptions for item in figures) / 1478 == pytest.approx(7.3, abs=0.05)
    assert sum(item.example_copies for item in figures) == 0
    assert 0.05 < sum(item.non_visual for item in figures) / 1478 < 0.3


def test_a_class_with_mostly_poor_phrases_is_warned_of(
    describe: Callable[..., StageResult], caplog: pytest.LogCaptureFixture
) -> None:
    def reply(body: dict[str, object]) -> str:
        if "road" in str(body["messages"]):
            return "- Flat surface\n- Gray and smooth\n- Marked by lines\n- Made of materials such as"
        return "- You can see it\n- Box with a roof\n- Four wheels\n- Wheels that\n- Made of\n- As we all know"

    caplog.set_level(logging.WARNING)
    with ChatServer(reply) as server:
        artifact = describe(("road", "car"), base_url=server.base_url).artifact
    assert "most phrases of 'car' are unfinished or incoherent" in caplog.text
    rows = artifact.table("quality.parquet").to_pylist()
    assert [(row["descriptions"], row["unfinished"], row["incoherent"]) for row in rows] == [(3, 1, 0), (4, 2, 2)]
    assert (artifact.manifest.summary["unfinished"], artifact.manifest.summary["incoherent"]) == (3, 2)
    assert "| unfinished | incoherent |" in artifact.file("report.md").read_text()


def test_an_unfinished_phrase_of_a_file_is_counted() -> None:
    texts = ["Made of wood or", "Has a roof"]
    figures = assess({"house": texts}, {})["house"]
    assert (figures.descriptions, figures.unfinished) == (2, 1)
