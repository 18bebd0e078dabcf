"""Files that are made of photos without labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from artifacts import Artifact, Store
from prolab_model.checkpoint import load_model
from prolab_model.predictor import Predictor
from tasks.errors import InputError
from tasks.predict.photos import find_photos
from tasks.predict.run import predict_photo
from tests.checkpoints import make_checkpoint
from tests.squares import CLASSES, PALETTE


@pytest.fixture(scope="module")
def checkpoint(store: Store) -> Artifact:
    return make_checkpoint(store)


@pytest.fixture(scope="module")
def photo(data_root: Path) -> Path:
    return min((data_root / "images" / "val").iterdir())


def test_labels_are_those_of_the_network_in_the_classes_colours(
    checkpoint: Artifact, photo: Path, tmp_path: Path
) -> None:
    segmentor, card = load_model(checkpoint.path)
    predictor = Predictor(segmentor)
    predicted = predict_photo(predictor, card, photo, tmp_path / "new" / "one", property_id=2)

    image = np.asarray(cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB), np.uint8)
    expected = predictor.labels(image)
    with Image.open(tmp_path / "new" / "one.labels.png") as file:
        np.testing.assert_array_equal(np.asarray(file), expected)
        colours = np.asarray(file.convert("RGB"))
    np.testing.assert_array_equal(colours, np.array(PALETTE, np.uint8)[expected])
    assert predicted.shares == {
        class_id: pytest.approx((expected == class_id).mean()) for class_id in set(expected.ravel().tolist())
    }
    assert list(predicted.shares.values()) == sorted(predicted.shares.values(), reverse=True)


def test_picture_shows_the_property_that_is_asked_for(checkpoint: Artifact, photo: Path, tmp_path: Path) -> None:
    segmentor, card = load_model(checkpoint.path)
    shapes = []
    for name, property_id in (("without", None), ("with", 1)):
        predict_photo(Predictor(segmentor), card, photo, tmp_path / name, property_id)
        picture = cv2.imread(str(tmp_path / f"{name}.picture.jpg"))
        assert picture is not None
        shapes.append(picture.shape)
    assert shapes[1][1] == pytest.approx(1.5 * shapes[0][1], abs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}{suffix}" for name in ("with", "without") for suffix in (".labels.png", ".picture.jpg")
    ]


def test_file_that_is_no_photo_is_named(checkpoint: Artifact, tmp_path: Path) -> None:
    segmentor, card = load_model(checkpoint.path)
    assert card.classes == CLASSES
    (tmp_path / "broken.jpg").write_text("no photo")
    with pytest.raises(InputError, match=r"broken\.jpg: not an image that can be decoded \(8 bytes\)"):
        predict_photo(Predictor(segmentor), card, tmp_path / "broken.jpg", tmp_path / "broken")
    assert [path.name for path in tmp_path.iterdir()] == ["broken.jpg"]


def test_photos_of_files_and_folders(photo: Path, tmp_path: Path) -> None:
    for name in ("a/one.jpg", "a/deeper/two.JPG", "b/one.jpg", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / name)
    first, second = tmp_path / "a", tmp_path / "b"
    assert find_photos([first]) == {"one": first / "one.jpg", "deeper/two": first / "deeper/two.JPG"}
    assert find_photos([second, second / "one.jpg"]) == {"one": second / "one.jpg"}
    with pytest.raises(InputError, match=r"a/one\.jpg and .*b/one\.jpg have one name, one"):
        find_photos([first, second])
    with pytest.raises(InputError, match="absent: there is no such photo or folder"):
        find_photos([tmp_path / "absent"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no file here ends in \.jpg"):
        find_photos([tmp_path / "empty"])
