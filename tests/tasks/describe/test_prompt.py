from pathlib import Path

import pytest

from tasks.describe.prompt import read_prompt
from tasks.errors import InputError

PROMPTS = Path(__file__).parents[3] / "configs" / "prompts"


@pytest.mark.parametrize("name", ["structured", "short", "naive", "contrast"])
def test_the_shipped_prompts_ask_about_the_category(name: str) -> None:
    prompt = read_prompt(PROMPTS / f"{name}.yaml", contrast=name == "contrast")
    message = prompt.user_message("traffic light", ["pole", "street sign"])
    assert "traffic light" in message
    assert ("pole, street sign" in message) == (name == "contrast")
    assert prompt.system_message("street scenes").endswith("All photos show street scenes.")
    assert "{" not in message + prompt.system_message("street scenes") + prompt.system_message(None)


def test_the_structured_prompt_has_the_papers_four_examples() -> None:
    examples = read_prompt(PROMPTS / "structured.yaml").examples()
    assert {name: len(phrases) for name, phrases in examples.items()} == {
        "wall": 7,
        "building": 8,
        "sky": 8,
        "floor": 5,
    }


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
        ("system: a\nuser: '{category}'\ncontext: photos", "{context}"),
    ],
)
def test_a_wrong_prompt_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prompt.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_prompt(path)
    assert str(path) in str(error.value)


def test_a_prompt_for_contrasts_must_name_the_others() -> None:
    with pytest.raises(InputError, match=r"\{others\}"):
        read_prompt(PROMPTS / "short.yaml", contrast=True)
