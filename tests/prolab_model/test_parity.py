"""The network against outputs of the original implementation, in float64."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor

RELATIVE_TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> dict[str, np.ndarray]:
    with np.load(shared_data / "parity" / "vit_unnorm.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def network(recorded: dict[str, np.ndarray]) -> PropertySegmentor:
    net = json.loads(str(recorded["net"]))
    head = {"num_classes": net["num_outputs"], "norm_cfg": {"type": "BN"}, "dropout_ratio": net["dropout_ratio"]}
    width = net["embed_dim"]
    segmentor: PropertySegmentor = build_segmentor(
        {
            "type": "PropertySegmentor",
            "backbone": {
                "type": net["backbone"],
                "dim": width,
                "depth": net["depth"],
                "heads": net["num_heads"],
                "interactions": net["interaction_indexes"],
                "deform_heads": net["deform_num_heads"],
                "drop_path": net["drop_path_rate"],
                "conv_inplanes": net["conv_inplane"],
                "deform_points": net["n_points"],
            },
            "decode_head": {
                "type": "UPerHead",
                "in_channels": [width] * 4,
                "in_index": [0, 1, 2, 3],
                "channels": net["uper_channels"],
                "align_corners": False,
                **head,
            },
            "auxiliary_head": {
                "type": "FCNHead",
                "in_channels": width,
                "in_index": 2,
                "channels": net["fcn_channels"],
                "num_convs": 1,
                "concat_input": False,
                "align_corners": False,
                **head,
            },
            "label_space": {
                "properties": net["num_properties"],
                "classes": net["num_classes"],
                "width": net["num_outputs"],
                "temperature": net["temperature"],
            },
            "test_cfg": {"mode": "slide", "crop_size": net["test_crop"], "stride": net["test_stride"]},
        }
    )
    weights = {name[3:]: torch.from_numpy(value) for name, value in recorded.items() if name.startswith("sd/")}
    absent = segmentor.load_state_dict(weights, strict=False)
    assert not absent.unexpected_keys
    assert sorted(absent.missing_keys) == ["label_space.centres", "label_space.class_matrix"]
    centres, class_matrix = (torch.from_numpy(recorded[f"bank/{name}"]).float().T for name in ("centres", "labels"))
    segmentor.label_space.assign(centres, class_matrix)
    return segmentor.double().eval()


def assert_close(actual: torch.Tensor, expected: np.ndarray) -> None:
    torch.testing.assert_close(actual, torch.from_numpy(expected).double(), rtol=RELATIVE_TOLERANCE, atol=1e-8)


@pytest.mark.parametrize("level", range(4))
def test_backbone_maps(network: PropertySegmentor, recorded: dict[str, np.ndarray], level: int) -> None:
    with torch.no_grad():
        maps = network.backbone(torch.from_numpy(recorded["img"]).double())
    assert_close(maps[level], recorded[f"feat/{level}"])


def test_class_scores_of_a_whole_image(network: PropertySegmentor, recorded: dict[str, np.ndarray]) -> None:
    with torch.no_grad():
        scores = network.encode_decode(torch.from_numpy(recorded["img"]).double(), [])
    assert_close(scores, recorded["whole"])


def test_class_scores_by_sliding_windows(network: PropertySegmentor, recorded: dict[str, np.ndarray]) -> None:
    image = torch.from_numpy(recorded["big"]).double()
    meta = {"img_shape": (*image.shape[-2:], 3), "ori_shape": (*recorded["ori"].tolist(), 3)}
    with torch.no_grad():
        scores = network.slide_inference(image, [meta], rescale=True)
    assert_close(scores, recorded["slide"])


def test_loss_of_labelled_pixels(network: PropertySegmentor, recorded: dict[str, np.ndarray]) -> None:
    """The original's mean also counts each ignored pixel as a constant 1; ours leaves them out."""
    labels = torch.from_numpy(recorded["gt"]).long()
    labelled = (labels != 255).double().mean()
    network.train()
    try:
        with torch.no_grad():
            losses = network.forward_train(torch.from_numpy(recorded["img"]).double(), [], labels)
    finally:
        network.eval()
    for ours, original, weight in (
        ("decode.loss_properties", "loss/decode.loss_cos_simi", 1.0),
        ("aux.loss_properties", "loss/aux.loss_cos_simi", network.auxiliary_weight),
    ):
        with_ignored = losses[ours] / weight * labelled + (1 - labelled)
        assert_close(with_ignored, recorded[original])
