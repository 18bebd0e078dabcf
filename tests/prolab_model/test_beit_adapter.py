from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from prolab_model.beit_adapter import BEiTAdapter
from tests.prolab_model.backbones import small_beit
from tests.prolab_model.reference_numbers import fill, image


def reference_names(backbone: BEiTAdapter) -> list[str]:
    """Keys of the reference's state_dict, which holds an index of relative positions for each block."""
    indices = [f"blocks.{block}.attn.relative_position_index" for block in range(len(backbone.blocks))]
    return [*backbone.state_dict(), *indices]


def test_figures_of_the_reference() -> None:
    """Means, deviations and first values of the maps of a network filled by a rule (spec, appendix A)."""
    backbone = BEiTAdapter(
        dim=48,
        depth=4,
        heads=4,
        interactions=[(0, 0), (1, 1), (2, 2), (3, 3)],
        deform_heads=4,
        conv_inplanes=8,
        grid=4,
    )
    backbone = backbone.double().eval()
    names = reference_names(backbone)
    assert len(names) == 310
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 258_608
    fill(backbone, names)
    with torch.no_grad():
        maps = backbone(image(64, 64))
    assert [level.mean().item() for level in maps] == pytest.approx(
        [0.13324213, -0.03896850, -0.03287360, -0.03372628], abs=1e-8
    )
    assert [level.std(correction=0).item() for level in maps] == pytest.approx(
        [5.59810854, 4.90705043, 4.35070715, 2.21985694], abs=1e-8
    )
    assert maps[0].flatten()[0].item() == pytest.approx(-1.429011, abs=1e-6)


def test_maps_equal_the_references(shared_data: Path) -> None:
    with np.load(shared_data / "parity" / "beit_unnorm.npz") as recorded:
        net = json.loads(str(recorded["net"]))
        backbone = BEiTAdapter(
            dim=net["embed_dim"],
            depth=net["depth"],
            heads=net["num_heads"],
            interactions=net["interaction_indexes"],
            deform_heads=net["deform_num_heads"],
            conv_inplanes=net["conv_inplane"],
            grid=net["img_size"] // net["patch_size"],
        )
        prefix = "sd/backbone."
        backbone.load_state_dict(
            {
                name[len(prefix) :]: torch.from_numpy(recorded[name])
                for name in recorded.files
                if name.startswith(prefix)
            }
        )
        with torch.no_grad():
            maps = backbone.double().eval()(torch.from_numpy(recorded["img"]).double())
        for level, ours in enumerate(maps):
            expected = torch.from_numpy(recorded[f"feat/{level}"]).double()
            assert (ours - expected).abs().max() < 1e-6 * expected.abs().max()


@pytest.mark.parametrize(("side", "parameters", "rows"), [(640, 328_756_928, 6244), (896, 331_091_648, 12324)])
def test_large_backbones_have_the_references_parameters(side: int, parameters: int, rows: int) -> None:
    """650 tensors (spec 2.6), 24 of which are indices of relative positions, which ours computes."""
    with torch.device("meta"):
        backbone = BEiTAdapter(grid=side // 16)
    assert len(reference_names(backbone)) == 650
    assert sum(parameter.numel() for parameter in backbone.parameters()) == parameters
    shapes = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    expected = {
        "cls_token": (1, 1, 1024),
        "blocks.23.gamma_1": (1024,),
        "blocks.23.gamma_2": (1024,),
        "blocks.23.attn.q_bias": (1024,),
        "blocks.23.attn.v_bias": (1024,),
        "blocks.23.attn.qkv.weight": (3072, 1024),
        "blocks.23.attn.relative_position_bias_table": (rows, 16),
        "interactions.0.injector.attn.sampling_offsets.weight": (384, 1024),
        "interactions.0.injector.attn.attention_weights.weight": (192, 1024),
        "interactions.3.extra_extractors.1.attn.sampling_offsets.weight": (128, 1024),
        "interactions.3.extra_extractors.1.attn.attention_weights.weight": (64, 1024),
        "interactions.3.extra_extractors.1.attn.value_proj.weight": (512, 1024),
        "interactions.3.extra_extractors.1.ffn.dwconv.dwconv.weight": (256, 1, 3, 3),
    }
    assert {name: shapes[name] for name in expected} == expected
    assert not {"pos_embed", "blocks.0.attn.qkv.bias"} & set(shapes)


def test_index_of_relative_positions_in_a_file_is_ignored_and_not_wanted() -> None:
    backbone = small_beit()
    plain = small_beit().state_dict()
    assert "blocks.0.attn.relative_position_index" not in plain
    with_index = plain | {f"blocks.{block}.attn.relative_position_index": torch.zeros(17, 17) for block in range(4)}
    backbone.load_state_dict(plain)
    backbone.load_state_dict(with_index)
    assert len(with_index) == len(plain) + 4  # the caller's own is left alone
    with pytest.raises(RuntimeError, match="Unexpected key"):
        backbone.load_state_dict(plain | {"blocks.0.attn.relative_position": torch.zeros(17, 17)})


def test_table_of_another_grid_is_not_loaded() -> None:
    with pytest.raises(RuntimeError, match="relative_position_bias_table"):
        small_beit(grid=4).load_state_dict(small_beit(grid=6).state_dict())


def test_class_token_takes_part_only_in_the_transformer() -> None:
    """It changes the maps through attention, and has no place in them."""
    backbone = small_beit().eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = backbone(images)
        backbone.cls_token.add_(torch.randn_like(backbone.cls_token))
        after = backbone(images)
    assert all(not torch.allclose(first, second) for first, second in zip(before, after, strict=True))


def test_injectors_start_from_almost_nothing() -> None:
    backbone = BEiTAdapter(
        dim=24, depth=4, heads=3, interactions=[(0, 0), (1, 1), (2, 2), (3, 3)], deform_heads=3, grid=2
    )
    gammas = {name: set(value.tolist()) for name, value in backbone.named_parameters() if "gamma" in name}
    assert len(gammas) == 12
    assert all(len(values) == 1 and next(iter(values)) == pytest.approx(1e-6) for values in gammas.values())
