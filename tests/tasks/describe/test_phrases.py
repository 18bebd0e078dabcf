import pytest

from tasks.describe.phrases import parse_phrases

TWO = ("Flat surface", "Made of asphalt")


@pytest.mark.parametrize(
    "answer",
    [
        "- Flat surface\n- Made of asphalt",
        "road:\n- Flat surface\n- Made of asphalt\n",
        "  * Flat surface.\n  * Made of asphalt.",
        "• Flat surface\n\n• Made of asphalt;",
        "1. Flat surface\n2) Made of asphalt",
        "(1) Flat surface\n(2) Made of asphalt",
        'Sure! Here is the list:\n- "Flat surface."\n- “Made of asphalt”.\nI hope this helps',
        "- **Flat surface**\n- *Made  of asphalt*",
        "Here you are:\nFlat surface\nMade of asphalt",
        "Flat surface\r\nMade of asphalt\r\n",
        "- Flat surface\n- Made of asphalt\n- flat surface\n- --\n- 4",
    ],
)
def test_the_same_phrases_in_any_layout(answer: str) -> None:
    assert parse_phrases(answer) == TWO


def test_the_last_line_of_an_answer_that_was_cut_off_is_dropped() -> None:
    assert parse_phrases("- Flat surface\n- Made of asphalt\n- Often has lane mar", cut_off=True) == TWO


def test_a_word_that_the_grammar_broke_is_dropped() -> None:
    assert parse_phrases("- Flat surf\n- Made of asphalt", line_limit=9) == ("Flat", "Made of")
    assert parse_phrases("- Flat surface\n- Made of asphalt", line_limit=16) == TWO


def test_hyphens_numbers_and_dots_within_a_phrase_stay() -> None:
    assert parse_phrases("- T-shaped, 2.5 m high\n- 4 wheels") == ("T-shaped, 2.5 m high", "4 wheels")


@pytest.mark.parametrize("answer", ["", "\n \n", "- \n- ...", "road:"])
def test_no_phrases(answer: str) -> None:
    assert parse_phrases(answer) == ()
