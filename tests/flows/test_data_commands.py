"""`prolab data` as people meet it: what it prints, and what they run next."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import Prolab, rows

from tests import published
from tests.conftest import REPOSITORY


@pytest.fixture
def command(real_prolab: Prolab) -> Prolab:
    """The command itself, in the test's folder."""
    return real_prolab


def test_prepare_says_what_it_made_and_what_comes_next(command: Prolab) -> None:
    published.cityscapes(command.folder / "my cities")

    done = command("data", "prepare", "cityscapes", "--root", "my cities")

    assert done.returncode == 0, done.stderr
    assert rows(done.stdout)["train"] == ["train", "1", "2,975"]
    assert "fewer than were published" in done.stdout
    assert "made 2 label maps in" in done.stdout
    assert "convert: 2/2 label maps" in done.stderr
    experiment = REPOSITORY / "configs/experiments/cityscapes.yaml"
    assert done.stdout.splitlines()[-1] == f"next: prolab run {experiment} --set 'dataset.root=my cities'"

    following = shlex.split(done.stdout.splitlines()[-1].removeprefix("next: prolab "))
    indexed = command(*following, "--only", "index")
    assert indexed.returncode == 0, indexed.stderr


def test_prepare_names_what_is_missing(command: Prolab) -> None:
    published.cityscapes(command.folder / "cities")
    (command.folder / "cities/gtFine").rename(command.folder / "elsewhere")

    done = command("data", "prepare", "cityscapes", "--root", "cities")

    assert done.returncode == 2
    assert done.stderr.startswith("error: cityscapes: 2 of 4 parts of the data set are missing\n  gtFine/train/")
    assert "gtFine_trainvaltest.zip from https://www.cityscapes-dataset.com" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_commands_from_a_folder_to_an_index(command: Prolab) -> None:
    mine = command.folder / "mine"
    colours = np.array([(10, 20, 30), (200, 100, 50), (0, 0, 0)], np.uint8)
    for name in ("a", "b"):
        published.write_photo(mine / f"photos/{name}.jpg")
        (mine / "masks").mkdir(exist_ok=True)
        Image.fromarray(colours[np.arange(48).reshape(6, 8) % 3]).save(mine / f"masks/{name}_mask.png")
    class_list = command.folder / "classes.csv"
    arguments = ("data", "init", "mine/photos", "mine/masks", "--ignore", "0,0,0")

    asked = command(*arguments)
    assert asked.returncode == 2
    listing = asked.stderr[asked.stderr.index("name,red") :]
    assert listing.splitlines() == ["name,red,green,blue", "class 0,0,0,0", "class 1,10,20,30", "class 2,200,100,50"]
    class_list.write_text("name,red,green,blue\nsky,10,20,30\nroad,200,100,50\nunicorn,1,2,3\n")

    done = command(*arguments, "--classes", "classes.csv")

    assert done.returncode == 0, done.stderr
    table = rows(done.stdout)
    assert table["road"] == ["road", "200,100,50", "33.33 %", "2"]
    assert table["left out"] == ["left out", "0,0,0", "33.33 %", "2"]
    assert "photos: 1 train, 1 val\nsizes: 8 x 6\nnever in the masks: unicorn\n" in done.stdout
    assert "written: mine.py\nwritten: mine.yaml\n" in done.stdout
    assert done.stdout.splitlines()[-1] == "next: prolab run mine.yaml"
    assert str(command.folder) not in Path(command.folder, "mine.py").read_text()
    assert str(command.folder) not in Path(command.folder, "mine.yaml").read_text()

    indexed = command("run", "mine.yaml", "--only", "index")
    assert indexed.returncode == 0, indexed.stderr
