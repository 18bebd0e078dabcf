"""Exported networks give PyTorch's labels at sizes that they were not exported at."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prolab_model.config_file import read_config
from prolab_model.data import IMAGE_MEAN, IMAGE_STD
from prolab_model.export import PhotoNetwork, export_onnx, measure_difference
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from tests.conftest import REPOSITORY
from tests.prolab_model.variety import small_network

CLASSES = ("meadow", "wall", "pond", "café")
PROPERTIES = ("green", "flat", "red", "wet", "blue", "high")

# Every backbone, and every form of the label space's scores.
NETWORKS = [("vit", "sigmoid"), ("beit", "normalised"), ("deeplab", "plain"), ("segformer", "one_hot")]
# The others take up to a minute each.
FAST = [
    pytest.param(*NETWORKS[2]),
    *(pytest.param(*pair, marks=pytest.mark.slow) for pair in NETWORKS[:2] + NETWORKS[3:]),
]
SIZES = [(1, 3, 64, 64), (3, 3, 50, 131)]


def photos(size: tuple[int, ...]) -> Tensor:
    return torch.rand(size, generator=torch.Generator().manual_seed(2)) * 255


def column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(3, 1, 1)


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    """Equal labels wherever the two best scores are not the same but for rounding."""
    for name in ("scores", "properties"):
        torch.testing.assert_close(theirs[name], ours[name], rtol=1e-4, atol=1e-4)
    upsampled = F.interpolate(ours["scores"], size=ours["labels"].shape[-2:], mode="bilinear", align_corners=False)
    best, second = upsampled.topk(2, dim=1).values.unbind(dim=1)
    clear = best - second > 1e-5
    assert clear.float().mean() > 0.9
    assert torch.equal(theirs["labels"][clear], ours["labels"][clear])


@pytest.mark.parametrize(("backbone", "label_space"), FAST)
def test_program_and_onnx_file_give_pytorchs_outputs(backbone: str, label_space: str, tmp_path: Path) -> None:
    segmentor = small_network(backbone, label_space).eval()
    program = export_onnx(segmentor, tmp_path / "network.onnx", CLASSES, PROPERTIES).module(check_guards=False)
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    names = [output.name for output in session.get_outputs()]
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    for size in SIZES:
        images = photos(size)
        with torch.no_grad():
            ours = PhotoNetwork(segmentor)(images)
            assert_equal(ours, program(images))
        outputs = session.run(None, {"images": images.numpy()})
        assert_equal(ours, dict(zip(names, map(torch.from_numpy, outputs), strict=True)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "network.onnx"
    export_onnx(small_network("deeplab", "sigmoid"), path, CLASSES, PROPERTIES)
    return path


def test_file_says_what_it_is_and_nothing_else_is_left(exported: Path) -> None:
    assert [file.name for file in exported.parent.iterdir()] == ["network.onnx"]
    metadata = onnxruntime.InferenceSession(exported).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert json.loads(metadata["properties"]) == list(PROPERTIES)


def test_differences_are_measured(exported: Path) -> None:
    segmentor = small_network("deeplab", "sigmoid").eval()
    images = photos((1, 3, 45, 80))
    same = measure_difference(segmentor, exported, images)
    assert max(same.scores, same.properties) < 1e-4
    assert same.labels < 0.01
    torch.nn.init.normal_(segmentor.decode_head.conv_seg.weight)
    other = measure_difference(segmentor, exported, images)
    assert min(other.scores, other.properties, other.labels) > 0.01


def test_labels_are_those_of_the_scores_at_the_photos_size() -> None:
    segmentor = small_network("vit", "sigmoid").eval()
    images = photos((1, 3, 64, 96))
    with torch.no_grad():
        outputs = PhotoNetwork(segmentor)(images)
        scores = segmentor.encode_decode((images - column(IMAGE_MEAN)) / column(IMAGE_STD), [])
    assert torch.equal(outputs["labels"], scores.argmax(dim=1))


@pytest.mark.slow
def test_base_network_is_exported(tmp_path: Path) -> None:
    """At full size: 256 properties, 150 classes, 768 channels."""
    network = read_config(REPOSITORY / "configs/models/ade20k_vit_adapter_b.py")["model"]
    torch.manual_seed(0)
    segmentor = build_segmentor(sized_network(network, properties=256, classes=150, width=768)).eval()
    # Features of random weights are large: this gives similarities of a few units, as training does.
    torch.nn.init.normal_(segmentor.decode_head.conv_seg.weight, std=3e-4)
    owners = torch.eye(150, 256) + torch.eye(150, 256).roll(106, dims=1)
    segmentor.label_space.assign(torch.randn(256, 768), owners)
    path = tmp_path / "network.onnx"
    export_onnx(segmentor, path, [str(number) for number in range(150)], [str(number) for number in range(256)])
    difference = measure_difference(segmentor, path, photos((1, 3, 256, 320)))
    assert max(difference.scores, difference.properties) < 1e-4
    assert difference.labels < 1e-3
