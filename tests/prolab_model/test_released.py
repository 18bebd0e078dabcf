"""Released checkpoints, fabricated: a network of the same names, written as mmcv writes it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from prolab_model.bank import Bank, read_bank, write_bank
from prolab_model.config_file import read_config
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from prolab_model.released import load_released, read_released
from prolab_model.segmentor import PropertySegmentor
from tests.conftest import REPOSITORY
from tests.prolab_model.networks import CLASSES, PROPERTIES, WIDTH, small_config, small_segmentor

BANK = Bank(
    centres=torch.randn(PROPERTIES, WIDTH, generator=torch.Generator().manual_seed(1)) * 3,
    class_matrix=torch.eye(CLASSES, PROPERTIES),
)


def unsized_config() -> dict[str, Any]:
    """The small network's config as a file under `configs/models` has it."""
    network = small_config()
    for name in ("properties", "classes", "width"):
        del network["label_space"][name]
    for head in ("decode_head", "auxiliary_head"):
        del network[head]["num_classes"]
    return network


def released_state(segmentor: PropertySegmentor) -> OrderedDict[str, Tensor]:
    state = segmentor.state_dict()
    return OrderedDict((name, value) for name, value in state.items() if not name.startswith("label_space."))


def write_released(path: Path, state: Mapping[str, Tensor]) -> None:
    """As mmcv's runner does after an evaluation: NumPy numbers among the notes, the optimizer's state behind."""
    meta = {
        "mmcv_version": "1.4.2",
        "time": "Thu Mar  7 12:00:00 2024",
        "config": "model = dict()",
        "CLASSES": ("wall", "building"),
        "PALETTE": np.array([[120, 120, 120], [180, 120, 120]], np.uint8),
        "epoch": 1,
        "iter": 160000,
        "hook_msgs": {"best_score": np.float64(0.4834), "best_ckpt": "best_mIoU_iter_160000.pth"},
    }
    moments = {0: {"step": 160000, "exp_avg": torch.zeros(4), "exp_avg_sq": torch.zeros(4)}}
    optimizer = {"state": moments, "param_groups": [{"lr": 6e-5, "betas": (0.9, 0.999), "params": [0]}]}
    torch.save({"meta": meta, "state_dict": OrderedDict(state), "optimizer": optimizer}, path)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("index", [False, True], ids=["", "with index buffers"])
def test_released_checkpoint_becomes_the_network_that_was_trained(tmp_path: Path, prefix: str, index: bool) -> None:
    trained = small_segmentor(seed=3).eval()
    state = {f"{prefix}{name}": value for name, value in released_state(trained).items()}
    if index:
        state |= {f"{prefix}backbone.blocks.0.attn.relative_position_index": torch.zeros(5, 5, dtype=torch.long)}
    write_released(tmp_path / "checkpoint.pth", state)
    write_bank(tmp_path / "bank.pth", BANK)

    loaded = load_released(unsized_config(), tmp_path / "checkpoint.pth", read_bank(tmp_path / "bank.pth"))

    trained.label_space.assign(BANK.centres, BANK.class_matrix)
    assert not loaded.training
    assert loaded.state_dict().keys() == trained.state_dict().keys()
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in loaded.state_dict().items())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.encode_decode(images, []), trained.encode_decode(images, []))


@pytest.mark.parametrize("index", [False, True], ids=["", "with index buffers"])
def test_released_beit_becomes_the_network_that_was_trained(tmp_path: Path, index: bool) -> None:
    network = unsized_config()
    network["backbone"] |= {"type": "BEiTAdapter", "grid": (2, 3), "layer_scale": 0.1}
    trained = build_segmentor(sized_network(network, properties=PROPERTIES, classes=CLASSES, width=WIDTH))
    state = {name: torch.randn(value.shape) for name, value in released_state(trained).items()}
    indices = {
        f"backbone.blocks.{block}.attn.relative_position_index": torch.zeros(7, 7, dtype=torch.long)
        for block in range(4)
    }
    write_released(tmp_path / "checkpoint.pth", state | indices if index else state)
    loaded = load_released(network, tmp_path / "checkpoint.pth", BANK).state_dict()
    assert sum(name.endswith("relative_position_bias_table") for name in state) == 4
    for name, value in state.items():
        assert torch.equal(loaded[name], value.to(loaded[name].dtype)), name


def test_notes_of_the_file_are_read(tmp_path: Path) -> None:
    write_released(tmp_path / "checkpoint.pth", released_state(small_segmentor()))
    meta = read_released(tmp_path / "checkpoint.pth").meta
    assert meta["hook_msgs"]["best_score"] == pytest.approx(0.4834)
    assert meta["iter"] == 160000


def test_every_name_that_differs_is_listed(tmp_path: Path) -> None:
    state = released_state(small_segmentor())
    del state["backbone.pos_embed"]
    state["backbone.norm.weight"] = torch.zeros(3)
    state["decode_head.conv_seg.bias"] = torch.zeros(WIDTH + 1)
    write_released(tmp_path / "checkpoint.pth", state)
    with pytest.raises(ValueError, match=r"checkpoint\.pth: not the weights of this network") as error:
        load_released(unsized_config(), tmp_path / "checkpoint.pth", BANK)
    assert str(error.value).splitlines()[1:] == [
        "  1 missing in the file: backbone.pos_embed",
        "  1 unknown to the network: backbone.norm.weight",
        "  1 of another shape: decode_head.conv_seg.bias (file (17,), network (16,))",
    ]


def test_bank_of_another_width_is_refused(tmp_path: Path) -> None:
    write_released(tmp_path / "checkpoint.pth", released_state(small_segmentor()))
    with pytest.raises(ValueError, match=r"4 of another shape: decode_head\.conv_seg\.weight \(file \(16, 16, 1, 1\)"):
        load_released(
            unsized_config(), tmp_path / "checkpoint.pth", Bank(torch.randn(PROPERTIES, 8), BANK.class_matrix)
        )


def test_network_without_properties_is_refused(tmp_path: Path) -> None:
    write_released(tmp_path / "checkpoint.pth", released_state(small_segmentor()))
    network = {**unsized_config(), "label_space": {"kind": "one_hot"}}
    with pytest.raises(ValueError, match="expected a network over properties"):
        load_released(network, tmp_path / "checkpoint.pth", BANK)


@pytest.mark.parametrize("content", [{"model": {}}, {"state_dict": {"weight": 1}}, [1]])
def test_files_that_are_no_checkpoints_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match=r"checkpoint\.pth: expected a checkpoint of mmcv"):
        read_released(tmp_path / "checkpoint.pth")


@pytest.mark.slow
def test_full_size_vit_adapter_b(tmp_path: Path) -> None:
    """The released base model of ADE20K: 492 tensors, 134,112,736 parameters, bank of 256 properties."""
    network = read_config(REPOSITORY / "configs/models/ade20k_vit_adapter_b.py")["model"]
    bank = Bank(
        centres=torch.randn(256, 768, generator=torch.Generator().manual_seed(0)),
        class_matrix=(torch.rand(150, 256, generator=torch.Generator().manual_seed(1)) < 0.04).float(),
    )
    bank.class_matrix[:, 0] = 1
    torch.manual_seed(5)
    trained = build_segmentor(sized_network(network, properties=256, classes=150, width=768))
    state = released_state(trained)
    assert len(state) == 492
    assert sum(parameter.numel() for parameter in trained.parameters()) == 134_112_736
    write_released(tmp_path / "checkpoint.pth", {f"module.{name}": value for name, value in state.items()})

    torch.manual_seed(6)
    loaded = load_released(network, tmp_path / "checkpoint.pth", bank)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in state.items())
    torch.testing.assert_close(loaded.label_space.centres.norm(dim=1), torch.ones(256))
