"""Every network of the repository builds, runs and learns; the released ones have the reference's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch

from prolab_model.config_file import read_config
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from prolab_model.segmentor import PropertySegmentor
from tasks.train import TrainParams, read_recipe
from tests.conftest import REPOSITORY

MODELS = sorted(REPOSITORY.glob("configs/models/*.py"))
PROPERTIES, CLASSES, WIDTH = 256, 150, 768
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")

Shapes = dict[str, tuple[int, ...]]


def path_of(name: str) -> Path:
    return REPOSITORY / "configs" / "models" / f"{name}.py"


def build(path: Path) -> PropertySegmentor:
    """The network for ADE20K on the meta device: names and shapes without memory."""
    network: Mapping[str, Any] = read_config(path)["model"]
    one_hot = network["label_space"].get("kind") == "one_hot"
    sizes = (CLASSES, CLASSES, CLASSES) if one_hot else (PROPERTIES, CLASSES, WIDTH)
    sized = sized_network(network, properties=sizes[0], classes=sizes[1], width=sizes[2])
    # mmsegmentation's backbones compute their drop rates with tensors, so they cannot be built without memory.
    with torch.device("meta" if "Adapter" in network["backbone"]["type"] else "cpu"):
        segmentor: PropertySegmentor = build_segmentor(sized)
    return segmentor.to("meta")


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_header_says_what_it_is_what_it_reached_what_it_needs_and_the_command(path: Path) -> None:
    header = list(takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines()))
    assert [line for line in header if line.startswith("# Reached: ")]
    assert [line for line in header if line.startswith("# Needs:   ")]
    command = next(line for line in header if line.startswith("# Run:     prolab run "))
    assert not header[0].startswith(("# Reached", "# Needs", "# Run"))
    experiment = command.split()[4]
    assert experiment == "EXPERIMENT.yaml" or (REPOSITORY / experiment).is_file()


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_recipe_is_valid(path: Path) -> None:
    recipe = read_recipe(path)
    params = TrainParams.model_validate({"model": path, "max_iters": 1, **recipe})
    if "max_iters" in recipe:
        # Whole recipes are the paper's, which has none of these.
        extras = (params.class_balanced, params.class_weight_power, params.contrast, params.clip_norm)
        assert extras == (0, 0, 0, None)
        assert params.poly_power == 1


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_network_takes_a_training_step_and_predicts(path: Path) -> None:
    """On the meta device: a tensor that is made on another one fails here."""
    segmentor = build(path)
    with torch.device("meta"):
        image = torch.zeros(2, 3, 64, 96)
        labels = torch.zeros(2, 1, 64, 96, dtype=torch.long)
    losses = segmentor.forward_train(image, [], labels)
    sum(value for name, value in losses.items() if "loss" in name).backward()
    assert {name for name, parameter in segmentor.named_parameters() if parameter.grad is None} == set()

    with torch.no_grad():
        assert segmentor.eval().encode_decode(image, []).shape == (2, CLASSES, 64, 96)


RELEASED = {
    # crop, iterations, crops in a step, learning rate, decay, weight decay, base size, stride, temperature, normalise
    "ade20k_vit_adapter_b": (512, 160_000, 16, 6e-5, 0.95, 0.01, (2048, 512), 341, 0.04, False),
    "ade20k_beit_adapter_l_640": (640, 160_000, 16, 2e-5, 0.9, 0.05, (2048, 640), 426, 0.01, True),
    "ade20k_beitv2_adapter_l_896": (896, 80_000, 16, 4e-5, 0.9, 0.05, (3584, 896), 512, 0.04, False),
    "coco_stuff_164k_vit_adapter_b": (512, 160_000, 16, 6e-5, 0.95, 0.01, (2048, 512), 341, 0.01, True),
    "pascal_context_59_vit_adapter_b": (512, 160_000, 16, 6e-5, 0.95, 0.01, (2048, 512), 341, 0.04, False),
    "cityscapes_vit_adapter_b": (768, 160_000, 8, 6e-5, 0.95, 0.01, (2048, 1024), 512, 0.04, False),
    "bdd100k_vit_adapter_b": (768, 160_000, 8, 6e-5, 0.95, 0.01, (2048, 1024), 512, 0.04, False),
}


@pytest.mark.parametrize("name", RELEASED)
def test_released_configs_are_the_references(name: str) -> None:
    """Spec 2.7."""
    crop, steps, batch, rate, decay, weight_decay, base_size, stride, temperature, normalise = RELEASED[name]
    network = read_config(path_of(name))["model"]
    params = TrainParams.model_validate({"model": path_of(name), **read_recipe(path_of(name))})

    assert (params.crop_size, params.max_iters, params.batch_size) == (crop, steps, batch)
    assert (params.learning_rate, params.layer_decay, params.weight_decay) == (rate, decay, weight_decay)
    assert (params.base_size, params.scale_range, params.test_scale) == (base_size, (0.5, 2.0), 1.0)
    assert round(params.warmup * params.max_iters) == 1500
    assert params.checkpoint_activations == ("_l_" in name)
    assert network["test_cfg"] == {"mode": "slide", "crop_size": (crop, crop), "stride": (stride, stride)}
    assert network["label_space"]["temperature"] == temperature
    assert network["label_space"].get("normalise", False) is normalise


@pytest.mark.parametrize("name", [name for name in RELEASED if "vit" in name])
def test_baseline_differs_by_its_labels_alone(name: str) -> None:
    ours, baseline = read_config(path_of(name)), read_config(path_of(f"{name}_one_hot"))

    assert baseline["model"].pop("label_space") == {"kind": "one_hot"}
    assert ours["model"].pop("label_space")["temperature"] > 0
    assert baseline == ours


@pytest.mark.parametrize(
    ("name", "tensors", "parameters"),
    [
        ("ade20k_vit_adapter_b", 492, 134_112_736),
        # 24 fewer than the reference: its indices into the relative-position tables are computed here.
        ("ade20k_beit_adapter_l_640", 732 - 24, 452_712_128),
        ("ade20k_beitv2_adapter_l_896", 732 - 24, 455_046_848),
    ],
)
def test_released_networks_have_the_references_tensors(name: str, tensors: int, parameters: int) -> None:
    """Spec 2.6, and the two buffers of the label space, which the reference keeps outside."""
    segmentor = build(path_of(name))
    shapes = {key: tuple(value.shape) for key, value in segmentor.state_dict().items()}
    expected = vit_adapter_b() if "vit" in name else beit_adapter_l(grid=56 if "896" in name else 40)

    assert shapes.pop("label_space.centres") == (PROPERTIES, WIDTH)
    assert shapes.pop("label_space.class_matrix") == (CLASSES, PROPERTIES)
    assert shapes == expected
    assert len(shapes) == tensors
    assert sum(parameter.numel() for parameter in segmentor.parameters()) == parameters


def vit_adapter_b() -> Shapes:
    blocks: Shapes = {}
    for index in range(12):
        blocks |= block(f"backbone.blocks.{index}", 768)
        blocks |= layer(f"backbone.blocks.{index}.attn.qkv", (2304, 768))
        blocks |= {f"backbone.blocks.{index}.{gamma}": (768,) for gamma in ("gamma1", "gamma2")}
    return blocks | {"backbone.pos_embed": (1, 197, 768)} | adapter(768, deform_heads=12) | heads(768, channels=512)


def beit_adapter_l(grid: int) -> Shapes:
    blocks: Shapes = {}
    for index in range(24):
        name = f"backbone.blocks.{index}"
        blocks |= block(name, 1024)
        blocks |= {
            f"{name}.attn.qkv.weight": (3072, 1024),
            f"{name}.attn.q_bias": (1024,),
            f"{name}.attn.v_bias": (1024,),
            f"{name}.attn.relative_position_bias_table": ((2 * grid - 1) ** 2 + 3, 16),
            f"{name}.gamma_1": (1024,),
            f"{name}.gamma_2": (1024,),
        }
    return blocks | {"backbone.cls_token": (1, 1, 1024)} | adapter(1024, deform_heads=16) | heads(1024, channels=1024)


def layer(name: str, shape: tuple[int, ...]) -> Shapes:
    """A linear layer, a convolution, or (with one dimension) a layer norm, with bias."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def batch_norm(name: str, channels: int) -> Shapes:
    return {f"{name}.{part}": (channels,) for part in BATCH_NORM} | {f"{name}.num_batches_tracked": ()}


def block(name: str, dim: int) -> Shapes:
    """What the blocks of ViT and BEiT have in common."""
    return (
        layer(f"{name}.norm1", (dim,))
        | layer(f"{name}.norm2", (dim,))
        | layer(f"{name}.attn.proj", (dim, dim))
        | layer(f"{name}.mlp.fc1", (4 * dim, dim))
        | layer(f"{name}.mlp.fc2", (dim, 4 * dim))
    )


def adapter(dim: int, deform_heads: int) -> Shapes:
    shapes = (
        {"backbone.level_embed": (3, dim)}
        | layer("backbone.patch_embed.proj", (dim, 3, 16, 16))
        | {"backbone.up.weight": (dim, dim, 2, 2), "backbone.up.bias": (dim,)}
    )
    for number in (1, 2, 3, 4):
        shapes |= batch_norm(f"backbone.norm{number}", dim)
    for position, inputs in ((0, 3), (3, 64), (6, 64)):
        shapes |= {f"backbone.spm.stem.{position}.weight": (64, inputs, 3, 3)}
        shapes |= batch_norm(f"backbone.spm.stem.{position + 1}", 64)
    for level, inputs, outputs in ((2, 64, 128), (3, 128, 256), (4, 256, 256)):
        shapes |= {f"backbone.spm.conv{level}.0.weight": (outputs, inputs, 3, 3)}
        shapes |= batch_norm(f"backbone.spm.conv{level}.1", outputs)
    for level, inputs in ((1, 64), (2, 128), (3, 256), (4, 256)):
        shapes |= layer(f"backbone.spm.fc{level}", (dim, inputs, 1, 1))
    for index in range(4):
        name = f"backbone.interactions.{index}"
        shapes |= {f"{name}.injector.gamma": (dim,)}
        shapes |= deformable_attention(f"{name}.injector", dim, deform_heads, levels=3)
        shapes |= extractor(f"{name}.extractor", dim, deform_heads)
    for index in range(2):
        shapes |= extractor(f"backbone.interactions.3.extra_extractors.{index}", dim, deform_heads)
    return shapes


def deformable_attention(name: str, dim: int, deform_heads: int, levels: int) -> Shapes:
    points = deform_heads * levels * 4
    return (
        layer(f"{name}.query_norm", (dim,))
        | layer(f"{name}.feat_norm", (dim,))
        | layer(f"{name}.attn.sampling_offsets", (2 * points, dim))
        | layer(f"{name}.attn.attention_weights", (points, dim))
        | layer(f"{name}.attn.value_proj", (dim // 2, dim))
        | layer(f"{name}.attn.output_proj", (dim, dim // 2))
    )


def extractor(name: str, dim: int, deform_heads: int) -> Shapes:
    return (
        deformable_attention(name, dim, deform_heads, levels=1)
        | layer(f"{name}.ffn_norm", (dim,))
        | layer(f"{name}.ffn.fc1", (dim // 4, dim))
        | layer(f"{name}.ffn.dwconv.dwconv", (dim // 4, 1, 3, 3))
        | layer(f"{name}.ffn.fc2", (dim, dim // 4))
    )


def heads(dim: int, channels: int) -> Shapes:
    shapes = layer("decode_head.conv_seg", (WIDTH, channels, 1, 1)) | layer(
        "auxiliary_head.conv_seg", (WIDTH, 256, 1, 1)
    )
    convolutions = {
        **{f"decode_head.psp_modules.{index}.1": (channels, dim, 1, 1) for index in range(4)},
        "decode_head.bottleneck": (channels, dim + 4 * channels, 3, 3),
        **{f"decode_head.lateral_convs.{index}": (channels, dim, 1, 1) for index in range(3)},
        **{f"decode_head.fpn_convs.{index}": (channels, channels, 3, 3) for index in range(3)},
        "decode_head.fpn_bottleneck": (channels, 4 * channels, 3, 3),
        "auxiliary_head.convs.0": (256, dim, 3, 3),
    }
    for name, shape in convolutions.items():
        shapes |= {f"{name}.conv.weight": shape} | batch_norm(f"{name}.bn", shape[0])
    return shapes
