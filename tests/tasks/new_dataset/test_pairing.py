from __future__ import annotations

from pathlib import Path

import pytest

from tasks.errors import InputError
from tasks.new_dataset.pairing import pair


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("photos", "masks", "suffixes"),
    [
        (("1.jpg", "2.jpg", "10.jpg"), ("1.png", "2.png", "10.png"), (".jpg", ".png")),
        (("a.JPG", "b.JPG"), ("a_mask.png", "b_mask.png"), (".JPG", "_mask.png")),
        (("a_photo.jpg", "b_photo.jpg"), ("a_mask.png", "b_mask.png"), ("_photo.jpg", "_mask.png")),
        (
            ("x/a_1_leftImg8bit.png", "y/b_2_leftImg8bit.png"),
            ("x/a_1_gtFine_labelIds.png", "y/b_2_gtFine_labelIds.png"),
            ("_leftImg8bit.png", "_gtFine_labelIds.png"),
        ),
        (("a.b.jpeg", "c.jpeg"), ("a.b.bmp", "c.bmp"), (".jpeg", ".bmp")),
    ],
)
def test_suffixes_are_found(
    photos: tuple[str, ...], masks: tuple[str, ...], suffixes: tuple[str, str], tmp_path: Path
) -> None:
    pairing = pair(touch(tmp_path / "photos", *photos), touch(tmp_path / "masks", *masks), None, None)

    assert (pairing.image_suffix, pairing.mask_suffix) == suffixes
    assert pairing.names == tuple(sorted(photo.removesuffix(suffixes[0]) for photo in photos))
    assert pairing.alone == ()


@pytest.mark.parametrize("photo", [".jpg", ".png"])
def test_photos_and_masks_in_one_folder(photo: str, tmp_path: Path) -> None:
    folder = touch(tmp_path, f"a{photo}", "a_mask.png", f"b{photo}", "b_mask.png", f"c{photo}")

    pairing = pair(folder, folder, None, None)

    assert (pairing.names, pairing.mask_suffix) == (("a", "b"), "_mask.png")
    assert pairing.alone == (f"c{photo}: the photo has no mask c_mask.png",)


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    photos = touch(tmp_path / "photos", "a.jpg", "b.jpg", "c.png")
    masks = touch(tmp_path / "masks", "a.png", "d.png", "notes.txt")

    pairing = pair(photos, masks, None, None)

    assert pairing.names == ("a",)
    assert pairing.alone == (
        "b.jpg: the photo has no mask b.png",
        "d.png: the mask has no photo d.jpg",
        "c.png: the others end in .jpg",
    )


def test_several_masks_of_a_photo_are_a_question(tmp_path: Path) -> None:
    photos = touch(tmp_path / "photos", "a.jpg", "b.jpg")
    masks = touch(tmp_path / "masks", "a_color.png", "a_ids.png", "b_color.png", "b_ids.png")

    with pytest.raises(InputError, match=r"_color\.png \(2\), _ids\.png \(2\); say which with --mask-suffix"):
        pair(photos, masks, None, None)
    assert pair(photos, masks, None, "_ids.png").names == ("a", "b")


@pytest.mark.parametrize(
    ("photos", "masks", "message"),
    [
        (("img_1.jpg",), ("mask_1.png",), r"no mask belongs to a photo: photos are img_1\.jpg, … and masks are mask_1"),
        (("a.txt",), ("a.png",), r"photos: no file here ends in \.jpg"),
        (("a.jpg",), ("a.mat",), r"masks: no file here ends in \.jpg"),
    ],
)
def test_nothing_to_pair(photos: tuple[str, ...], masks: tuple[str, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        pair(touch(tmp_path / "photos", *photos), touch(tmp_path / "masks", *masks), None, None)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        pair(touch(tmp_path, "a.jpg"), tmp_path / "nowhere", None, None)
