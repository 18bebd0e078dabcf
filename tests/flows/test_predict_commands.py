"""`prolab predict` on a small network and photos of squares."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from processes import Prolab, rows

from artifacts import Store
from tests.checkpoints import make_checkpoint, make_checkpoint_for
from tests.label_spaces import STREET, make_label_space
from tests.squares import draw_squares


@pytest.fixture(scope="module")
def prolab(tmp_path_factory: pytest.TempPathFactory) -> Prolab:
    """The command in a folder with photos, whose store holds a network as the checkpoint `mine`."""
    folder = tmp_path_factory.mktemp("predict")
    draw_squares(folder / "squares")
    store = Store(folder / "store")
    store.tag(make_checkpoint(store), "mine")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROLAB_"))}
    return Prolab(folder, environment, (str(Path(sys.executable).with_name("prolab")),))


@pytest.mark.slow
def test_photos_below_a_folder(prolab: Prolab) -> None:
    done = prolab("predict", "mine", "squares/images", "--output", "found", "--property", "Wet")
    assert done.returncode == 0, done.stderr
    photos = sorted((prolab.folder / "squares" / "images").rglob("*.png"))
    names = [path.relative_to(prolab.folder / "squares" / "images").with_suffix("").as_posix() for path in photos]
    shown = rows(done.stdout)
    assert set(shown) == set(names)
    assert "%" in shown[names[0]][1]
    assert done.stdout.splitlines()[-1].startswith(f"{len(photos)} photos in ")
    files = [path.relative_to(prolab.folder / "found").as_posix() for path in (prolab.folder / "found").rglob("*.*")]
    assert sorted(files) == sorted(f"{name}{end}" for name in names for end in (".labels.png", ".picture.jpg"))


@pytest.mark.slow
def test_where_a_phrase_is(prolab: Prolab) -> None:
    store = Store(prolab.folder / "store")
    store.tag(make_checkpoint_for(store, make_label_space(store, STREET, prolab.folder)), "street")
    photo = min((prolab.folder / "squares" / "images").rglob("*.png"))
    done = prolab("predict", "street", str(photo), "--output", "phrase", "--text", "Four rubber wheels")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("'Four rubber wheels' is nearest to the property '")
    assert (prolab.folder / "phrase" / f"{photo.stem}.picture.jpg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent", "squares"), "checkpoint:absent names no artifact"),
        (("mine", "absent"), "absent: there is no such photo or folder"),
        (("mine", "squares", "--property", "wett"), "has no property 'wett' among its 4; did you mean 'wet'?"),
        (("mine", "squares", "--text", "wet"), "the embeddings that it was made of are no longer in the store"),
        (
            ("mine", "squares", "--text", "wet", "--property", "wet"),
            "--property and --text: expected one of them, got both",
        ),
        (("mine", "squares", "--encoder", "./model"), "--encoder ./model: expected --text, which it is to read"),
        (("mine", "squares", "--dataset", "a"), "--dataset a: the checkpoint is of a single data set"),
        (("mine", "squares", "--set", "evaluate.precison=bfloat16"), "did you mean 'precision'?"),
        (("mine", "squares/squares.py"), "squares.py: not an image that can be decoded"),
    ],
)
def test_wrong_input_gives_a_message_and_exit_code_2(prolab: Prolab, arguments: tuple[str, ...], message: str) -> None:
    done = prolab("predict", *arguments, "--output", "none")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (prolab.folder / "none").exists()
