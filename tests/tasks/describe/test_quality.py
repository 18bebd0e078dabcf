import json
from pathlib import Path

import pytest

from tasks.describe.prompt import read_prompt
from tasks.describe.quality import assess
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
        {"traffic_light": 2},
        {"Solid and opaque, so nothing behind it shows"},
    )["traffic_light"]
    assert (figures.descriptions, figures.longest_words, figures.repeats, figures.shared) == (4, 7, 2, 1)
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
