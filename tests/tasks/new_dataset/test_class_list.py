from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.new_dataset.class_list import Entry, read_class_list


def read(tmp_path: Path, name: str, text: str) -> tuple[Entry, ...]:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return read_class_list(tmp_path / name)


NAMES = (Entry("sky"), Entry("road"))
NUMBERS = (Entry("sky", 7), Entry("road", 8))
COLOURS = (Entry("sky", None, (0, 0, 255)), Entry("road", None, (128, 64, 128)))


@pytest.mark.parametrize(
    ("name", "text", "entries"),
    [
        ("list.txt", "sky\n road\n\n", NAMES),
        ("list.json", '["sky", "road"]', NAMES),
        ("list.csv", "name\nsky\nroad\n", NAMES),
        ("list.json", '{"sky": 7, "road": 8}', NUMBERS),
        ("list.csv", "id, class\n7, sky\n8, road\n", NUMBERS),
        ("list.json", '{"sky": [0, 0, 255], "road": [128, 64, 128]}', COLOURS),
        ("list.csv", "name,r,g,b\nsky,0,0,255\nroad,128,64,128\n", COLOURS),
        ("list.csv", "\ufeffName,Red,Green,Blue\nsky,0,0,255\nroad,128,64,128\n", COLOURS),
        ("list.csv", "name,value,red,green,blue\nsky,7,0,0,255\n", (Entry("sky", 7, (0, 0, 255)),)),
        ("list.csv", "name,value\nroad,8\nroad,9\n", (Entry("road", 8), Entry("road", 9))),
    ],
)
def test_formats(name: str, text: str, entries: tuple[Entry, ...], tmp_path: Path) -> None:
    assert read(tmp_path, name, text) == entries


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("list.txt", "sky\n\nroad\n", r"list\.txt: line 2 is empty; expected a \.txt with"),
        ("list.txt", "", "there is no class in it"),
        ("list.json", '{"sky": "blue"}', "sky: neither a number nor a colour: 'blue'"),
        ("list.json", "3", "neither a list of names nor an object"),
        ("list.json", "{", "Expecting property name"),
        ("list.csv", "title,r\nsky,3\n", "no column name; there are title, r"),
        ("list.csv", "name,value\nsky,blue\n", "line 2: invalid literal"),
        ("list.csv", "name,value\nsky\n", "line 2: "),
        (
            "list.csv",
            "name,r,g,b\nsky,0,0,300\n",
            r"sky: expected red, green and blue from 0 to 255, got \(0, 0, 300\)",
        ),
        ("list.csv", "name,value\nsky,-1\n", "sky: expected a number of 0 or more, got -1"),
        ("list.csv", "name,value\nsky,1\nroad,1\n", "the number 1 stands for more than one class"),
        ("list.csv", "name,value\n,1\n", "a class has no name"),
        ("list.yaml", "sky", r"list\.yaml: expected a \.txt with"),
    ],
)
def test_what_is_wrong_is_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, name, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.txt: cannot be read"):
        read_class_list(tmp_path / "gone.txt")
