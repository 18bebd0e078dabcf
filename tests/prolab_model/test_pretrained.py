from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from prolab_model.openmmlab import BACKBONES
from prolab_model.pretrained import PretrainedError, growth, load_pretrained, read_weights, resize_table
from prolab_model.relative_position import table_length
from prolab_model.vit_adapter import ViTAdapter
from tests.prolab_model.backbones import small_beit, small_vit

TRANSFORMER = ("patch_embed.", "pos_embed", "cls_token", "blocks.")
TABLE = "attn.relative_position_bias_table"


def random_like(state: dict[str, Tensor]) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn_like(value) for name, value in state.items() if name.startswith(TRANSFORMER)}


def deit_weights(pretrain_grid: int = 14) -> dict[str, Tensor]:
    """As DeiT's files have them: a class token, a final norm, a classifier, no layer scale."""
    weights = random_like(small_vit(pretrain_grid=pretrain_grid).state_dict())
    weights = {name: value for name, value in weights.items() if "gamma" not in name}
    rest = {"cls_token": torch.randn(1, 1, 24), "norm.weight": torch.ones(24), "head.weight": torch.ones(9, 24)}
    return weights | rest


def timm_weights(pretrain_grid: int = 14) -> dict[str, Tensor]:
    """As timm names them, layer scale included."""
    scales = {f"blocks.{block}.ls{scale}.gamma": torch.randn(24) for block in range(4) for scale in (1, 2)}
    return deit_weights(pretrain_grid) | scales


def beit_weights(grid: int = 4) -> dict[str, Tensor]:
    """As BEiT's fine-tuned files and timm's have them: a table and an index for each block."""
    weights = random_like(small_beit(grid=grid).state_dict())
    tokens = 1 + grid**2
    indices = {
        f"blocks.{block}.attn.relative_position_index": torch.zeros(tokens, tokens, dtype=torch.long)
        for block in range(4)
    }
    return weights | indices | {"fc_norm.weight": torch.ones(24)}


def test_weights_of_deit_leave_the_layer_scale_alone() -> None:
    backbone, weights = small_vit(), deit_weights()
    report = load_pretrained(backbone, weights)
    assert torch.equal(backbone.blocks[3].attn.qkv.bias, weights["blocks.3.attn.qkv.bias"])
    assert report.missing == tuple(f"blocks.{block}.gamma{scale}" for block in range(4) for scale in (1, 2))
    assert report.unused == ("cls_token", "norm.weight", "head.weight")
    assert torch.equal(backbone.blocks[0].gamma1, torch.ones(24))


def test_timm_names_and_layer_scale_are_taken_over() -> None:
    backbone, weights = small_vit(), timm_weights()
    report = load_pretrained(backbone, weights)
    assert torch.equal(backbone.blocks[2].gamma1, weights["blocks.2.ls1.gamma"])
    assert torch.equal(backbone.pos_embed, weights["pos_embed"])
    assert report.resized == report.missing == report.derived == ()
    assert str(report) == f"{len(weights) - 3} tensors matched, 3 unused (cls_token, norm.weight, head.weight)"


@pytest.mark.parametrize("prefix", ["", "encoder.", "backbone.", "module.encoder."])
def test_beit_names_with_any_prefix_are_taken_over(prefix: str) -> None:
    backbone, weights = small_beit(), beit_weights()
    report = load_pretrained(backbone, {prefix + name: value for name, value in weights.items()})
    for name, value in backbone.state_dict().items():
        if name.startswith(TRANSFORMER):
            assert torch.equal(value, weights[name])
    assert report.missing == report.resized == ()
    assert report.unused == (f"{prefix}fc_norm.weight",)
    assert report.derived == tuple(f"{prefix}blocks.{block}.attn.relative_position_index" for block in range(4))


def test_table_that_all_blocks_share_is_copied_to_each() -> None:
    backbone = small_beit()
    weights = {name: value for name, value in beit_weights().items() if "relative_position" not in name}
    weights["rel_pos_bias.relative_position_bias_table"] = torch.randn(table_length((4, 4)), 3)
    weights["rel_pos_bias.relative_position_index"] = torch.zeros(17, 17)
    report = load_pretrained(backbone, weights)
    for block in backbone.blocks:
        assert torch.equal(
            block.attn.relative_position_bias_table, weights["rel_pos_bias.relative_position_bias_table"]
        )
    assert report.missing == ()
    assert report.derived == ("rel_pos_bias.relative_position_index",)


def test_two_tensors_for_one_place_are_refused() -> None:
    weights = beit_weights()
    with pytest.raises(PretrainedError, match=r"encoder\.cls_token is a second tensor for cls_token"):
        load_pretrained(small_beit(), weights | {"encoder.cls_token": weights["cls_token"]})


@pytest.mark.parametrize("target", [14, 9, (6, 11)], ids=str)
def test_position_embedding_of_another_grid_is_resized(target: int | tuple[int, int]) -> None:
    backbone = small_vit(pretrain_grid=target)
    rows, columns = backbone.pretrain_grid
    weights = timm_weights(pretrain_grid=7)
    weights["pos_embed"][:, 1:] = (torch.arange(7) - 3.0).view(1, 7, 1, 1).expand(1, 7, 7, 24).reshape(1, 49, 24)
    report = load_pretrained(backbone, weights)
    assert report.resized == ("pos_embed",)
    assert torch.equal(backbone.pos_embed[:, 0], weights["pos_embed"][:, 0])
    grid = backbone.pos_embed.detach()[0, 1:].view(rows, columns, 24)
    torch.testing.assert_close(grid, grid[:, :1, :1].expand_as(grid))  # the file's differ by rows only
    torch.testing.assert_close(grid, -grid.flip(0))
    assert (grid.diff(dim=0) > 0).all()


@pytest.mark.parametrize("extra", [0, 1, 2])
def test_tokens_beside_the_grid_are_told_apart(extra: int) -> None:
    """Timm leaves out the class token's position in some models; DeiT has a second one for distillation."""
    backbone, weights = small_vit(), deit_weights()
    patches = weights["pos_embed"][:, 1:]
    weights["pos_embed"] = torch.cat([torch.randn(1, extra, 24), patches], dim=1)
    load_pretrained(backbone, weights)
    assert torch.equal(backbone.pos_embed[:, 1:], patches)


def test_grid_that_is_not_square_has_to_be_given() -> None:
    backbone, weights = small_vit(pretrain_grid=(2, 4)), timm_weights()
    weights["pos_embed"] = torch.randn(1, 1 + 5 * 8, 24)
    with pytest.raises(PretrainedError, match=r"pos_embed has 41 positions, which are no square grid"):
        load_pretrained(backbone, weights)
    with pytest.raises(PretrainedError, match=r"no grid of 5 x 7 and at most 2"):
        load_pretrained(backbone, weights, grid=(5, 7))
    assert load_pretrained(backbone, weights, grid=(5, 8)).resized == ("pos_embed",)


def test_grid_with_as_many_patches_in_other_rows_is_resized() -> None:
    backbone, weights = small_vit(pretrain_grid=(2, 8)), timm_weights(pretrain_grid=4)
    assert load_pretrained(backbone, weights).resized == ("pos_embed",)
    assert not torch.equal(backbone.pos_embed, weights["pos_embed"])


def test_tables_of_another_grid_are_resized() -> None:
    backbone, weights = small_beit(grid=(6, 9)), beit_weights(grid=4)
    report = load_pretrained(backbone, weights)
    assert report.resized == tuple(f"blocks.{block}.{TABLE}" for block in range(4))
    table = backbone.blocks[1].attn.relative_position_bias_table
    assert torch.equal(table, resize_table(weights[f"blocks.1.{TABLE}"], (7, 7), (11, 17)))


@pytest.mark.parametrize(("distance", "ratio"), [(39, 1.168504), (55, 1.218069)])
def test_offsets_grow_as_in_the_reference(distance: int, ratio: float) -> None:
    """From 14 x 14 patches to 40 x 40 and to 56 x 56 (spec 2.8)."""
    assert growth(13, distance) == pytest.approx(ratio, abs=1e-6)


def test_resized_table_has_the_references_figures() -> None:
    """From 27 x 27 offsets to 79 x 79 (spec, appendix A)."""
    table = torch.cat([torch.arange(729, dtype=torch.float64).mul(0.1).sin(), torch.tensor([1.0, 2.0, 3.0])])
    resized = resize_table(table.view(-1, 1), (27, 27), (79, 79))
    patches = resized[:-3, 0]
    assert patches.mean().item() == pytest.approx(-0.014196822989, abs=1e-12)
    assert patches.std(correction=0).item() == pytest.approx(0.684595993386, abs=1e-12)
    assert patches[patches.numel() // 2].item() == pytest.approx(-0.963320224765, abs=1e-9)
    assert resized[-3:, 0].tolist() == [1.0, 2.0, 3.0]


def test_table_is_resized_along_each_axis_by_itself() -> None:
    """An axis that keeps its length keeps its values, and rows are not mistaken for columns."""
    heads = torch.randn(5, 7, 2, dtype=torch.float64)
    table = torch.cat([heads.view(-1, 2), torch.zeros(3, 2)])
    taller = resize_table(table, (5, 7), (9, 7))[:-3].view(9, 7, 2)
    torch.testing.assert_close(taller[[3, 4, 5]], heads[[1, 2, 3]])  # near offsets keep their distance
    wider = resize_table(table, (5, 7), (5, 13))[:-3].view(5, 13, 2)
    torch.testing.assert_close(wider[:, [5, 6, 7]], heads[:, [2, 3, 4]])


def test_weights_of_another_width_are_refused_and_nothing_is_changed() -> None:
    backbone, weights = small_vit(), timm_weights()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    weights["blocks.3.attn.proj.weight"] = torch.zeros(32, 32)
    with pytest.raises(
        PretrainedError, match=r"blocks.3.attn.proj.weight has shape \(32, 32\), the network needs \(24, 24\)"
    ):
        load_pretrained(backbone, weights)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])


def test_patches_of_another_size_are_refused() -> None:
    weights = timm_weights() | {"patch_embed.proj.weight": torch.zeros(24, 3, 14, 14)}
    with pytest.raises(PretrainedError, match=r"patches of 14 x 14 pixels, the network's have 16 x 16"):
        load_pretrained(small_vit(), weights)


@pytest.mark.parametrize("depth", [2, 6])
def test_weights_of_another_depth_are_refused(depth: int) -> None:
    weights = timm_weights()
    blocks = {name: value for name, value in weights.items() if name.startswith("blocks.0.")}
    weights = {name: value for name, value in weights.items() if not name.startswith("blocks.")}
    for block in range(depth):
        weights |= {name.replace("blocks.0.", f"blocks.{block}."): value for name, value in blocks.items()}
    with pytest.raises(PretrainedError, match=rf"last of their blocks is blocks\.{depth - 1}, .* is blocks\.3"):
        load_pretrained(small_vit(), weights)


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(PretrainedError, match="fit another network"):
        load_pretrained(small_vit(), {"layer1.0.conv1.weight": torch.zeros(1)})


def test_weights_of_a_vit_do_not_pass_for_those_of_beit() -> None:
    """What lies elsewhere is named on both sides."""
    report = load_pretrained(small_beit(), timm_weights())
    assert "blocks.0.attn.qkv.bias" in report.unused
    assert f"blocks.0.{TABLE}" in report.missing
    assert "pos_embed" in report.unused


OTHERS: dict[str, dict[str, Any]] = {
    "resnet": {"type": "ResNetV1c", "depth": 50, "base_channels": 4, "stem_channels": 8},
    "mit": {"type": "MixVisionTransformer", "embed_dims": 8, "num_layers": [1, 2, 1, 1], "num_heads": [1, 1, 1, 1]},
}


def other_backbone(kind: str, **changed: Any) -> nn.Module:
    """A backbone of mmsegmentation, every tensor drawn at random."""
    torch.manual_seed(2)
    backbone: nn.Module = BACKBONES.build(OTHERS[kind] | changed)
    for value in backbone.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 0.9)
    return backbone


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.", "module.backbone."])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_backbones_take_their_own_names(tmp_path: Path, kind: str, prefix: str) -> None:
    """As mmsegmentation's files have them: with metadata, sometimes with a prefix, and with a classifier."""
    source, backbone = other_backbone(kind), other_backbone(kind)
    source.eval()
    backbone.eval()
    for parameter in backbone.parameters():
        nn.init.zeros_(parameter)
    weights = {prefix + name: value for name, value in source.state_dict().items()}
    classifier = {"fc.weight": torch.ones(9, 128), "fc.bias": torch.ones(9)}
    content = {"state_dict": weights | classifier, "meta": {"epoch": np.int64(90), "loss": np.float64(0.5)}}
    torch.save(content, tmp_path / "weights.pth")
    report = load_pretrained(backbone, read_weights(tmp_path / "weights.pth"))
    assert report.unused == ("fc.weight", "fc.bias")
    assert report.missing == report.resized == ()
    assert len(report.matched) + len(report.derived) == len(weights)
    assert all(name.endswith("num_batches_tracked") for name in report.derived)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for expected, got in zip(source(images), backbone(images), strict=True):
            assert torch.equal(expected, got)


def test_tensors_that_another_backbone_misses_are_named() -> None:
    weights = other_backbone("resnet").state_dict()
    del weights["layer4.2.conv3.weight"], weights["stem.1.num_batches_tracked"]
    assert load_pretrained(other_backbone("resnet"), weights).missing == ("layer4.2.conv3.weight",)


@pytest.mark.parametrize(
    ("kind", "changed", "message"),
    [
        ("resnet", {"depth": 101}, r"last of their layer3 is layer3\.22, the network's is layer3\.5"),
        ("mit", {"num_layers": [1, 1, 1, 1]}, r"last of their layers\.1\.1 is layers\.1\.1\.0, .* layers\.1\.1\.1"),
        (
            "resnet",
            {"depth": 18},
            r"layer1\.0\.conv1\.weight has shape \(4, 8, 3, 3\), .* needs \(4, 8, 1, 1\)",
        ),
        ("mit", {"embed_dims": 16}, r"projection\.weight has shape \(16, 3, 7, 7\), the network needs \(8, 3, 7, 7\)"),
    ],
)
def test_weights_of_another_size_of_a_backbone_are_refused_and_nothing_is_changed(
    kind: str, changed: dict[str, Any], message: str
) -> None:
    backbone = other_backbone(kind)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(PretrainedError, match=message):
        load_pretrained(backbone, other_backbone(kind, **changed).state_dict())
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("kind", OTHERS)
def test_another_backbone_does_not_take_a_transformers_weights(kind: str) -> None:
    with pytest.raises(PretrainedError, match="fit another network"):
        load_pretrained(other_backbone(kind), deit_weights())


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "module"])
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
    with pytest.raises(PretrainedError, match=r"cannot be read.*nothing but data.*refers to exec"):
        read_weights(tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*absent\.pth"):
        read_weights(tmp_path / "absent.pth")


def test_arguments_of_a_training_script_beside_the_weights_do_not_matter(tmp_path: Path) -> None:
    torch.save({"model": {"norm.weight": torch.ones(3)}, "args": argparse.Namespace(lr=0.1)}, tmp_path / "weights.pth")
    assert list(read_weights(tmp_path / "weights.pth")) == ["norm.weight"]


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_damaged_files_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(b"no weights")
    with pytest.raises(PretrainedError, match=rf"weights\.{suffix} cannot be read"):
        read_weights(path)


def test_a_file_of_one_tensor_is_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "tensor.pth")
    with pytest.raises(PretrainedError, match=r"tensor\.pth holds Tensor, not tensors by name"):
        read_weights(tmp_path / "tensor.pth")


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_names_of_timm_need_timm() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'timm': pip install 'prolab-pipeline\[timm\]'"):
        read_weights("timm:vit_tiny_patch16_224")


def test_real_weights_match_whole(shared_data: Path) -> None:
    backbone = ViTAdapter(dim=384, heads=6, deform_heads=6, pretrain_grid=37)
    report = load_pretrained(backbone, read_weights(shared_data / "pretrained/dinov2_vits16_resampled.safetensors"))
    assert (len(report.matched), report.resized, report.missing) == (171, (), ())
    assert backbone.blocks[-1].gamma1.mean() > 0.1  # the layer scale is the file's, not the initial ones
