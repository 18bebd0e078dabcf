from __future__ import annotations

import numpy as np
import pytest
import torch

from prolab_model.predictor import Predictor
from tests.prolab_model.networks import CLASSES, PROPERTIES, small_segmentor


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
    segmentor = small_segmentor(test_cfg={"mode": "slide", "crop_size": (64, 64), "stride": (42, 42)})
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
