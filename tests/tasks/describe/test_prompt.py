from pathlib import Path

import pytest

from tasks.describe.prompt import read_prompt, spoken
from tasks.errors import InputError

PROMPTS = Path(__file__).parents[3] / "configs" / "prompts"


@pytest.mark.parametrize("name", ["structured", "short"])
def test_the_shipped_prompts_ask_about_the_category(name: str) -> None:
    message = read_prompt(PROMPTS / f"{name}.yaml").user_message("traffic light")
    assert "traffic light" in message
    assert "{" not in message


@pytest.mark.parametrize(
    ("name", "said"), [("traffic_light", "traffic light"), ("bed ", "bed"), ("sign symbol", "sign symbol")]
)
def test_class_names_are_said_as_a_person_would(name: str, said: str) -> None:
    assert spoken(name) == said


def test_the_hash_follows_the_words_and_not_the_comments(tmp_path: Path) -> None:
    path = tmp_path / "prompt.yaml"
    hashes = []
    for text in (
        "system: a\nuser: b {category}",
        "# why\nuser: b {category}\nsystem: a",
        "system: a\nuser: {category}!",
    ):
        path.write_text(text.replace("user: {", "user: x {"))
        hashes.append(read_prompt(path).hash)
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("system: a\nuser: b", "{category}"),
        ("system: a", "system"),
        ("- a", "list"),
        ("a: [", "Cannot read"),
        ("system: a\nuser: '{category}'\nmodel: x", "model"),
    ],
)
def test_a_wrong_prompt_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prompt.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_prompt(path)
    assert str(path) in str(error.value)
