from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from prolab_model.checkpoint import KnownDataset, ModelCard, load_model, save_model
from tests.prolab_model.networks import CLASSES, PROPERTIES, small_config, small_segmentor

CARD = ModelCard(
    network=small_config(),
    classes=tuple(f"class {number}" for number in range(CLASSES)),
    palette=tuple((number, 0, 0) for number in range(CLASSES)),
    properties=tuple(f"property {number}" for number in range(PROPERTIES)),
    test_scale=1.0,
)


def test_model_comes_back_whole(tmp_path: Path) -> None:
    segmentor = small_segmentor().eval()
    save_model(tmp_path, segmentor, CARD)
    loaded, card = load_model(tmp_path)
    assert card.model_dump_json() == CARD.model_dump_json()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.encode_decode(images, []), segmentor.encode_decode(images, []))


def test_label_space_travels_in_the_checkpoint(tmp_path: Path) -> None:
    segmentor = small_segmentor()
    save_model(tmp_path, segmentor, CARD)
    loaded, _ = load_model(tmp_path)
    assert torch.equal(loaded.label_space.centres, segmentor.label_space.centres)
    assert torch.equal(loaded.label_space.class_matrix, segmentor.label_space.class_matrix)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path, small_segmentor(), CARD)
    other = small_config()
    other["decode_head"]["channels"] = 24
    (tmp_path / "model.json").write_text(CARD.model_copy(update={"network": other}).model_dump_json())
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_model(tmp_path)


@pytest.mark.parametrize("options", [{}, {"scores": "decorrelated", "contrast": 1.0}])
def test_a_network_of_several_data_sets_predicts_the_classes_of_one(tmp_path: Path, options: dict[str, Any]) -> None:
    config = small_config()
    config["label_space"] |= {"groups": [1, 3], **options}
    segmentor = small_segmentor(label_space=config["label_space"]).eval()
    two = KnownDataset(first_class=1, classes=3, base_size=(96, 64))
    datasets = {"one": KnownDataset(first_class=0, classes=1), "two": two, "two again": two}
    save_model(tmp_path, segmentor, CARD.model_copy(update={"network": config, "datasets": datasets}))
    everything, whole = load_model(tmp_path)
    assert whole.classes == CARD.classes
    part, card = load_model(tmp_path, "two again")
    assert (card.classes, card.palette, card.datasets) == (CARD.classes[1:], CARD.palette[1:], {})
    assert card.base_size == (96, 64)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(part.encode_decode(images, []), everything.encode_decode(images, [])[:, 1:])
    save_model(tmp_path, part, card)
    assert load_model(tmp_path)[1] == card
