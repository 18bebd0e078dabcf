from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prolab_model.openmmlab import build_segmentor
from prolab_model.predictor import Predictor
from prolab_model.segmentor import PropertySegmentor
from tests.prolab_model.networks import (
    CLASSES,
    PROPERTIES,
    WIDTH,
    small_config,
    small_one_hot_segmentor,
    small_segmentor,
)

SLIDE = {"mode": "slide", "crop_size": (64, 64), "stride": (42, 42)}
PHOTO = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
SCALES = (0.5, 1.0, 1.75)


@pytest.mark.parametrize("size", [(64, 64), (50, 75), (33, 200), (1, 1)])
def test_labels_have_the_photos_size_whatever_it_is(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    prediction = Predictor(small_segmentor()).predict(image)
    assert prediction.labels.shape == size
    assert prediction.labels.dtype == np.uint8
    assert prediction.labels.max() < CLASSES
    assert prediction.properties.shape[0] == PROPERTIES
    assert 0 <= prediction.properties.min() <= prediction.properties.max() <= 1


def test_prediction_is_that_of_the_normalised_photo() -> None:
    segmentor = small_segmentor().eval()
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    tensor = torch.from_numpy((image - mean) / std).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = segmentor.encode_decode(tensor, [])[0].argmax(dim=0)
    assert np.array_equal(Predictor(segmentor).predict(image).labels, expected.numpy())


@pytest.mark.parametrize("window_batch", [1, 3])
def test_windows_are_slid_as_mmsegmentation_does(window_batch: int) -> None:
    segmentor = small_segmentor(test_cfg=SLIDE)
    image = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    predictor = Predictor(segmentor, window_batch=window_batch)
    prediction = predictor.predict(image)
    meta = {"img_shape": image.shape, "ori_shape": image.shape}
    with torch.no_grad():
        scores = segmentor.slide_inference(predictor.network_input(image), [meta], rescale=True)
    assert np.array_equal(prediction.labels, scores[0].argmax(dim=0).numpy())
    assert np.array_equal(predictor.labels(image), prediction.labels)
    assert prediction.properties.shape == (PROPERTIES, 24, 40)
    assert prediction.scores.shape == (CLASSES, 24, 40)


def test_scale_decides_the_resolution_the_network_sees() -> None:
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    assert Predictor(small_segmentor(), scale=1.5).predict(image).properties.shape[-2:] == (24, 24)


@pytest.mark.parametrize(
    ("photo", "network"),
    [((64, 96), (64, 96)), ((50, 40), (96, 64)), ((40, 400), (32, 128)), ((3, 400), (32, 128))],
    ids=["as it is", "short side up", "long side down", "thin"],
)
def test_photo_is_fitted_into_the_base_size(photo: tuple[int, int], network: tuple[int, int]) -> None:
    """The short side becomes 64, unless the long side would pass 128; both go up to multiples of 32."""
    predictor = Predictor(small_segmentor(), base_size=(128, 64))
    prediction = predictor.predict(np.zeros((*photo, 3), dtype=np.uint8))
    assert prediction.properties.shape[-2:] == (network[0] // 4, network[1] // 4)
    assert prediction.labels.shape == photo


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)], ids=["grey", "float"])
def test_what_is_no_photo_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected \(H, W, 3\) uint8"):
        Predictor(small_segmentor()).predict(image)


@pytest.mark.parametrize("test_cfg", [{"mode": "whole"}, SLIDE], ids=["whole", "windows"])
def test_views_of_one_hot_networks_are_averaged_as_mmsegmentation_does(test_cfg: dict[str, object]) -> None:
    segmentor = small_one_hot_segmentor(test_cfg=test_cfg)
    predictor = Predictor(segmentor, scales=SCALES, flip=True)
    images, metas = [], []
    for scale in SCALES:
        seen = predictor.network_input(PHOTO, scale)
        for mirrored in (False, True):
            images.append(seen.flip(-1) if mirrored else seen)
            shape = {"img_shape": (*seen.shape[-2:], 3), "ori_shape": PHOTO.shape}
            metas.append([{**shape, "flip": mirrored, "flip_direction": "horizontal"}])
    with torch.no_grad():
        (expected,) = segmentor.aug_test(images, metas, rescale=True)
    prediction = predictor.predict(PHOTO)
    assert (prediction.labels == expected).mean() > 0.999
    assert len(np.unique(expected)) > 1
    assert np.array_equal(predictor.labels(PHOTO), prediction.labels)
    torch.testing.assert_close(prediction.scores.sum(dim=0), torch.ones(16, 24))


def test_views_of_property_networks_are_averaged_by_cosines_and_properties() -> None:
    segmentor = small_segmentor()
    label_space = segmentor.label_space
    predictor = Predictor(segmentor, base_size=(96, 64), scales=SCALES, flip=True)
    scores, properties = torch.zeros(CLASSES, 64, 96), torch.zeros(PROPERTIES, 16, 24)
    with torch.no_grad():
        for scale in SCALES:
            seen = predictor.network_input(PHOTO, scale)
            for similarities in (
                segmentor.similarities(seen),
                segmentor.similarities(seen.flip(-1)).flip(-1),
            ):
                scores += by_way_of(seen, label_space.class_scores(similarities), (64, 96))
                properties += by_way_of(seen, label_space.properties(similarities), (16, 24))
    prediction = predictor.predict(PHOTO)
    assert (prediction.labels == scores.argmax(dim=0).numpy()).mean() > 0.999
    assert len(np.unique(prediction.labels)) > 1
    torch.testing.assert_close(prediction.properties, properties / 6)


def by_way_of(seen: Tensor, maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps (C, H, W), resized to what the network saw and then to `size`, unless they have that size."""
    if maps.shape[-2:] == size:
        return maps[0]
    for each in (seen.shape[-2:], size):
        maps = F.interpolate(maps, size=each, mode="bilinear", align_corners=False)
    return maps[0]


@pytest.mark.parametrize("segmentor", [small_segmentor(), small_one_hot_segmentor(test_cfg=SLIDE)])
def test_one_view_as_it_is_changes_nothing(segmentor: PropertySegmentor) -> None:
    plain = Predictor(segmentor).predict(PHOTO)
    same = Predictor(segmentor, scales=(1.0,), flip=False).predict(PHOTO)
    assert np.array_equal(same.labels, plain.labels)
    assert torch.equal(same.scores, plain.scores)
    assert torch.equal(same.properties, plain.properties)


def test_a_flipped_photo_has_the_flipped_prediction() -> None:
    predictor = Predictor(small_segmentor(test_cfg=SLIDE), scales=(1.0, 1.5), flip=True)
    prediction, flipped = predictor.predict(PHOTO), predictor.predict(np.ascontiguousarray(PHOTO[:, ::-1]))
    assert (flipped.labels[:, ::-1] == prediction.labels).mean() > 0.999
    torch.testing.assert_close(flipped.scores.flip(-1), prediction.scores)
    torch.testing.assert_close(flipped.properties.flip(-1), prediction.properties)


def test_more_classes_than_8_bits_tell_apart_are_refused() -> None:
    label_space = {"properties": 300, "classes": 300, "width": WIDTH}
    segmentor = build_segmentor(small_config() | {"label_space": label_space})
    with pytest.raises(ValueError, match=r"up to 255 classes.*got 300.*load_model\(folder, dataset\)"):
        Predictor(segmentor)
