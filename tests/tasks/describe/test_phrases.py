import json
from pathlib import Path

import pytest

from tasks.describe.phrases import Dropped, Parsed, parse_phrases

TWO = ("Flat surface", "Made of asphalt")


def parse(answer: str, **options: object) -> Parsed:
    return parse_phrases(answer, "road", others={"car", "traffic light", "wall"}, **options)


def reasons(parsed: Parsed) -> list[str]:
    return [item.reason for item in parsed.dropped]


@pytest.mark.parametrize(
    "answer",
    [
        "- Flat surface\n- Made of asphalt",
        "road:\n- Flat surface\n- Made of asphalt\n",
        "  * Flat surface.\n  * Made of asphalt.",
        "• Flat surface\n\n• Made of asphalt;",
        "•Flat surface\n•Made of asphalt",
        "-Flat surface\n-Made of asphalt",
        "1. Flat surface\n2) Made of asphalt",
        "(1) Flat surface\n(2) Made of asphalt",
        "a) Flat surface\nb) Made of asphalt",
        'Sure! Here is the list:\n- "Flat surface."\n- “Made of asphalt”.\nI hope this helps',
        "- **Flat surface**\n- *Made  of asphalt*",
        "1. **Shape:** Flat surface\n2. **Material**: Made of asphalt",
        "## Road\n\n### Shape\n- Flat surface\n### Material\n- Made of asphalt",
        "- Shape:\n  - Flat surface\n- Material:\n  - Made of asphalt",
        "- road: Flat surface\n- Road: Made of asphalt",
        "- Flat\n  surface\n- Made of\n  asphalt",
        "Here you are:\nFlat surface\nMade of asphalt",
        "Sure!\nFlat surface\nMade of asphalt\nLet me know if you need more.",
        "Flat surface\r\nMade of asphalt\r\n",
        "- Flat surface\n- Made of asphalt\n- flat surface\n- --\n- 4",
        "<think>\n- A road is\n- hm\n</think>\n\n- Flat surface\n- Made of asphalt",
        "```\n- Flat surface\n- Made of asphalt\n```",
        "```\nFlat surface\nMade of asphalt\n```",
    ],
)
def test_the_same_phrases_in_any_layout(answer: str) -> None:
    assert parse(answer).phrases == TWO


@pytest.mark.parametrize(
    "run_on",
    [
        "road:\n- Flat surface\n- Made of asphalt\n\ncar:\n- Four wheels\n\nWall:\n- Upright",
        "- Flat surface\n- Made of asphalt\n\n**Traffic light**\n- Red, yellow and green",
        "- Flat surface\n- Made of asphalt\n- Car: four wheels",
        "wall:\n- Upright\n\nroad:\n- Flat surface\n- Made of asphalt",
        "Flat surface\nMade of asphalt\n\n# Car\n\nFour wheels",
    ],
)
def test_what_is_said_of_another_class_is_dropped(run_on: str) -> None:
    parsed = parse(run_on)
    assert parsed.phrases == TWO
    assert "other class" in reasons(parsed)


def test_what_is_dropped_is_told_with_the_reason() -> None:
    long = "- " + "word " * 41
    answer = f"Of course:\nroad\n- Flat surface\nnot a bullet\n- Road\n- ...\n- FLAT surface.\n{long}\n- Made of asph"
    assert parse(answer, cut_off=True) == Parsed(
        ("Flat surface",),
        (
            Dropped("Of course:", "heading"),
            Dropped("road", "heading"),
            Dropped("not a bullet", "no bullet"),
            Dropped("- Road", "only the name"),
            Dropped("- ...", "no words"),
            Dropped("- FLAT surface.", "repeated"),
            Dropped(long.strip(), "too long"),
            Dropped("- Made of asph", "cut off"),
        ),
    )


@pytest.mark.parametrize(
    "refusal",
    [
        "I'm sorry, but I can't help with that.",
        "As an AI, I have no eyes.\nI cannot see roads.\nSorry about that.",
        "- I’m unable to describe roads\n- I can't see",
        "Sorry!",
    ],
)
def test_a_refusal_is_no_description(refusal: str) -> None:
    parsed = parse(refusal)
    assert parsed.phrases == ()
    assert set(reasons(parsed)) == {"refusal"}


def test_the_last_line_of_an_answer_that_was_cut_off_is_dropped() -> None:
    assert parse("- Flat surface\n- Made of asphalt\n- Often has lane mar", cut_off=True).phrases == TWO


def test_a_phrase_that_the_grammar_stopped_is_dropped() -> None:
    limit = len("Flat surface with lane mar")
    answer = "- Flat surface with lane mar\n- Flat surface of tarmac\n- Made of asphalt\n- Bordered by a low kerb."
    parsed = parse(answer, line_limit=limit)
    assert parsed.phrases == ("Made of asphalt", "Bordered by a low kerb")
    assert reasons(parsed) == ["unfinished", "unfinished"]
    assert len(parse(answer).phrases) == 4
    assert len(parse("- Flat surface of tar, marks.", line_limit=limit).phrases) == 0  # a dot where nothing else fits
    assert len(parse("- Flat surface of tarmac.", line_limit=limit).phrases) == 1


@pytest.mark.parametrize(
    "phrase",
    [
        "Made of wood or materials such as",
        "Long body with wheels that",
        "Smooth surface and a",
        "Stands on its",
        "Looks like a box, which",
        "Has several sections, including",
        "Colours vary from gray to",
        "Has wheels and,",
    ],
)
def test_a_phrase_whose_last_word_calls_for_more_is_dropped(phrase: str) -> None:
    assert parse(f"- {phrase}\n- Flat surface").dropped == (Dropped(f"- {phrase}", "unfinished"),)


@pytest.mark.parametrize(
    "phrase",
    [
        "Windows to look out of",
        "Doors to choose from",
        "A switch to turn it on",
        "Shows how wide it is",
        "Colours in between",
        "Human being",
    ],
)
def test_a_phrase_may_end_in_a_short_word(phrase: str) -> None:
    assert parse(f"- {phrase}").phrases == (phrase,)


def test_hyphens_numbers_colons_and_dots_within_a_phrase_stay() -> None:
    answer = "- T-shaped, 2.5 m high\n- 4 wheels\n- Comes in two colours: grey and black"
    assert parse(answer).phrases == ("T-shaped, 2.5 m high", "4 wheels", "Comes in two colours: grey and black")


@pytest.mark.parametrize("answer", ["", "\n \n", "- \n- ...", "road:"])
def test_no_phrases(answer: str) -> None:
    assert parse(answer).phrases == ()


@pytest.mark.parametrize("dataset", ["ade20k", "cityscapes_bdd", "pascal_context_59", "coco_stuff_164k"])
def test_released_descriptions_written_as_answers_are_read_back(shared_data: Path, dataset: str) -> None:
    path = shared_data / "descriptors" / f"descriptors_{dataset}_gpt3.5_cluster.json"
    for name, texts in json.loads(path.read_text()).items():
        answer = f"{name}:\n" + "".join(f"- {text}\n" for text in texts)
        assert parse_phrases(answer, name, others={"wall", "sky"}).phrases == tuple(text.rstrip(".") for text in texts)
