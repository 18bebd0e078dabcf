from __future__ import annotations

import pytest
import torch

from prolab_model.config_file import read_config
from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor
from prolab_model.vit_adapter import ViTAdapter
from tests.conftest import REPOSITORY
from tests.prolab_model.backbones import small_vit
from tests.prolab_model.reference_numbers import fill, image

Shape = tuple[int, ...]


def affine(prefix: str, *shape: int) -> dict[str, Shape]:
    """A weight and the bias of its outputs."""
    return {f"{prefix}.weight": shape, f"{prefix}.bias": shape[:1]}


def batch_norm(prefix: str, channels: int) -> dict[str, Shape]:
    running = {f"{prefix}.running_{name}": (channels,) for name in ("mean", "var")}
    return affine(prefix, channels) | running | {f"{prefix}.num_batches_tracked": ()}


def deformable(prefix: str, levels: int) -> dict[str, Shape]:
    return {
        **affine(f"{prefix}.sampling_offsets", 96 * levels, 768),
        **affine(f"{prefix}.attention_weights", 48 * levels, 768),
        **affine(f"{prefix}.value_proj", 384, 768),
        **affine(f"{prefix}.output_proj", 768, 384),
    }


def extractor(prefix: str) -> dict[str, Shape]:
    return {
        **affine(f"{prefix}.query_norm", 768),
        **affine(f"{prefix}.feat_norm", 768),
        **affine(f"{prefix}.ffn_norm", 768),
        **deformable(f"{prefix}.attn", levels=1),
        **affine(f"{prefix}.ffn.fc1", 192, 768),
        **affine(f"{prefix}.ffn.dwconv.dwconv", 192, 1, 3, 3),
        **affine(f"{prefix}.ffn.fc2", 768, 192),
    }


def base_backbone() -> dict[str, Shape]:
    """Names and shapes of the reference's ViT-Adapter-B (spec 2.6)."""
    shapes: dict[str, Shape] = {
        "pos_embed": (1, 197, 768),
        "level_embed": (3, 768),
        **affine("patch_embed.proj", 768, 3, 16, 16),
        **affine("up", 768, 768, 2, 2),
    }
    for i in range(12):
        block = f"blocks.{i}"
        shapes |= {f"{block}.gamma1": (768,), f"{block}.gamma2": (768,)}
        shapes |= affine(f"{block}.norm1", 768) | affine(f"{block}.norm2", 768)
        shapes |= affine(f"{block}.attn.qkv", 2304, 768) | affine(f"{block}.attn.proj", 768, 768)
        shapes |= affine(f"{block}.mlp.fc1", 3072, 768) | affine(f"{block}.mlp.fc2", 768, 3072)
    for name, inputs, outputs in (
        ("stem.0", 3, 64),
        ("stem.3", 64, 64),
        ("stem.6", 64, 64),
        ("conv2.0", 64, 128),
        ("conv3.0", 128, 256),
        ("conv4.0", 256, 256),
    ):
        part, index = name.split(".")
        shapes[f"spm.{name}.weight"] = (outputs, inputs, 3, 3)
        shapes |= batch_norm(f"spm.{part}.{int(index) + 1}", outputs)
    for level, channels in enumerate((64, 128, 256, 256), start=1):
        shapes |= affine(f"spm.fc{level}", 768, channels, 1, 1) | batch_norm(f"norm{level}", 768)
    for i in range(4):
        injector = f"interactions.{i}.injector"
        shapes[f"{injector}.gamma"] = (768,)
        shapes |= affine(f"{injector}.query_norm", 768) | affine(f"{injector}.feat_norm", 768)
        shapes |= deformable(f"{injector}.attn", levels=3) | extractor(f"interactions.{i}.extractor")
    for i in range(2):
        shapes |= extractor(f"interactions.3.extra_extractors.{i}")
    return shapes


def test_base_backbone_has_the_references_parameters() -> None:
    """410 tensors and 99,495,392 parameters (spec 2.6)."""
    with torch.device("meta"):
        backbone = ViTAdapter()
    shapes = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    assert shapes == base_backbone()
    assert len(shapes) == 410
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 99_495_392


def test_base_segmentor_has_the_references_parameters() -> None:
    """492 tensors and 134,112,736 parameters with both heads (spec 2.6); the bank's two buffers are ours."""
    config = read_config(REPOSITORY / "configs/models/vit_adapter_b.py")["model"]
    config["label_space"] |= {"properties": 256, "classes": 150, "width": 768}
    for head in ("decode_head", "auxiliary_head"):
        config[head]["num_classes"] = 768
    with torch.device("meta"):
        segmentor: PropertySegmentor = build_segmentor(config)
    assert len(segmentor.state_dict()) == 492 + 2
    assert sum(parameter.numel() for parameter in segmentor.parameters()) == 134_112_736


def test_figures_of_the_reference() -> None:
    """Means, deviations and first values of the maps of a network filled by a rule (spec, appendix A)."""
    backbone = ViTAdapter(
        dim=48, depth=4, heads=4, interactions=[(0, 0), (1, 1), (2, 2), (3, 3)], deform_heads=4, conv_inplanes=8
    )
    backbone = backbone.double().eval()
    names = list(backbone.state_dict())
    assert len(names) == 298
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 267_376
    fill(backbone, names)
    with torch.no_grad():
        maps = backbone(image(64, 96))
    assert [tuple(level.shape[2:]) for level in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
    assert [level.mean().item() for level in maps] == pytest.approx(
        [0.10405522, -0.03197859, -0.09256090, -0.01637826], abs=1e-8
    )
    assert [level.std(correction=0).item() for level in maps] == pytest.approx(
        [4.06033872, 3.52434258, 4.03500141, 1.55848061], abs=1e-8
    )
    assert maps[0].flatten()[:3].tolist() == pytest.approx([1.177048, 3.322229, 2.985974], abs=1e-6)
    assert [level.flatten()[0].item() for level in maps[1:]] == pytest.approx(
        [-2.968210, -5.507116, -2.660483], abs=1e-6
    )


def test_position_embedding_of_a_grid_that_is_not_square() -> None:
    """On its own grid it is what is added to the patches; the class token's entry is not used."""
    backbone = small_vit(pretrain_grid=(4, 6)).eval()
    assert backbone.pos_embed.shape == (1, 25, 24)
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        expected = backbone(images)
        positions = backbone.pos_embed[:, 1:].clone()
        backbone.pos_embed.zero_()
        backbone.patch_embed.register_forward_hook(lambda module, inputs, tokens: tokens + positions)
        maps = backbone(images)
    for level, wanted in zip(maps, expected, strict=True):
        assert torch.equal(level, wanted)


def test_injectors_start_from_nothing() -> None:
    backbone = ViTAdapter(
        dim=24, depth=4, heads=3, interactions=[(0, 0), (1, 1), (2, 2), (3, 3)], deform_heads=3, conv_inplanes=8
    )
    assert not any(interaction.injector.gamma.any() for interaction in backbone.interactions)
