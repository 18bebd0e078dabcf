from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from prolab_model.pretrained import load_pretrained_vit, read_weights
from prolab_model.vit_adapter import ViTAdapter


def make_backbone(pretrain_grid: int = 14) -> ViTAdapter:
    torch.manual_seed(0)
    return ViTAdapter(
        dim=24,
        depth=4,
        heads=3,
        interactions=[(0, 0), (1, 1), (2, 2), (3, 3)],
        deform_heads=3,
        conv_inplanes=8,
        pretrain_grid=pretrain_grid,
    )


def timm_weights(pretrain_grid: int = 14) -> dict[str, Tensor]:
    """Random weights of the transformer by timm's names, with a class token and a final norm."""
    own = make_backbone(pretrain_grid).state_dict()
    weights = {
        name.replace("gamma1", "ls1.gamma").replace("gamma2", "ls2.gamma"): torch.randn_like(value)
        for name, value in own.items()
        if name.startswith(("patch_embed.", "pos_embed", "blocks."))
    }
    return weights | {"cls_token": torch.randn(1, 1, 24), "norm.weight": torch.ones(24)}


def test_timm_names_and_layer_scale_are_taken_over() -> None:
    backbone, weights = make_backbone(), timm_weights()
    report = load_pretrained_vit(backbone, weights)
    assert torch.equal(backbone.blocks[2].gamma1, weights["blocks.2.ls1.gamma"])
    assert torch.equal(backbone.pos_embed, weights["pos_embed"])
    assert report.resized == report.missing == ()
    assert report.unused == ("cls_token", "norm.weight")
    assert str(report) == f"{len(weights) - 2} tensors matched, 2 unused (cls_token, norm.weight)"


def test_position_embedding_of_another_grid_is_resized() -> None:
    backbone = make_backbone(pretrain_grid=14)
    weights = timm_weights(pretrain_grid=7)
    weights["pos_embed"][:, 1:] = 0.5
    report = load_pretrained_vit(backbone, weights)
    assert report.resized == ("pos_embed",)
    torch.testing.assert_close(backbone.pos_embed[:, 1:], torch.full((1, 196, 24), 0.5))


def test_weights_of_another_width_are_refused() -> None:
    weights = timm_weights()
    weights["blocks.0.attn.proj.weight"] = torch.zeros(32, 32)
    with pytest.raises(
        ValueError, match=r"blocks.0.attn.proj.weight has shape \(32, 32\), the network needs \(24, 24\)"
    ):
        load_pretrained_vit(make_backbone(), weights)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ValueError, match="fit another network"):
        load_pretrained_vit(make_backbone(), {"layer1.0.conv1.weight": torch.zeros(1)})


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_pytorch_files_with_wrapper_and_prefix_are_read(tmp_path: Path, wrapper: str | None) -> None:
    weights = {"module.norm.weight": torch.ones(3)}
    torch.save(weights if wrapper is None else {wrapper: weights, "meta": {"epoch": 3}}, tmp_path / "weights.pth")
    read = read_weights(tmp_path / "weights.pth")
    assert list(read) == ["norm.weight"]


def test_safetensors_files_are_read(tmp_path: Path) -> None:
    save_file({"norm.weight": torch.ones(3)}, tmp_path / "weights.safetensors")
    assert list(read_weights(tmp_path / "weights.safetensors")) == ["norm.weight"]


def test_code_in_a_file_of_weights_is_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"weights": Payload()}, tmp_path / "weights.pth")
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        read_weights(tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*absent\.pth"):
        read_weights(tmp_path / "absent.pth")


def test_real_weights_match_whole(shared_data: Path) -> None:
    backbone = ViTAdapter(dim=384, heads=6, deform_heads=6, pretrain_grid=37)
    report = load_pretrained_vit(backbone, read_weights(shared_data / "pretrained/dinov2_vits16_resampled.safetensors"))
    assert (len(report.matched), report.resized, report.missing) == (171, (), ())
    assert backbone.blocks[-1].gamma1.mean() > 0.1  # the layer scale is the file's, not the initial ones
