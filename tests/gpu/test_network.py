"""On a GPU the network does what it does on a CPU, where the other tests look at it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ops import multi_scale_deformable_attention
from prolab_model.predictor import Predictor
from prolab_model.segmentor import PropertySegmentor
from tests.benchmarks.original_order import CLASSES, CROP, build
from tests.prolab_model.parity import build_network
from tests.prolab_model.variety import LABEL_SPACES, batch, small_network

pytestmark = pytest.mark.gpu

CASES = [(backbone, label_space) for backbone in ("vit", "beit") for label_space in LABEL_SPACES]


def to_device(data: dict[str, Any], device: torch.device, dtype: torch.dtype | None = None) -> dict[str, Any]:
    moved = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in data.items()}
    return moved | {"img": moved["img"].to(dtype)} if dtype else moved


def step(segmentor: PropertySegmentor, data: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients by name, on the CPU."""
    segmentor.zero_grad()
    loss = segmentor.train_step(data, None)["loss"]
    loss.backward()
    gradients = {name: parameter.grad for name, parameter in segmentor.named_parameters()}
    return loss.detach().cpu(), {name: gradient.cpu() for name, gradient in gradients.items() if gradient is not None}


@pytest.mark.parametrize(("backbone", "label_space"), CASES)
def test_loss_and_gradients_are_the_cpus(backbone: str, label_space: str, device: torch.device) -> None:
    """In float64, where nothing that differs is rounding."""
    segmentor = small_network(backbone, label_space).eval().double()
    loss, gradients = step(segmentor, to_device(batch(), torch.device("cpu"), torch.float64))
    other_loss, other_gradients = step(segmentor.to(device), to_device(batch(), device, torch.float64))
    torch.testing.assert_close(other_loss, loss)
    torch.testing.assert_close(other_gradients, gradients)


@pytest.mark.parametrize("name", ["vit_unnorm", "beit_unnorm"])
def test_losses_are_the_originals(name: str, shared_data: Path, device: torch.device) -> None:
    with np.load(shared_data / "parity" / f"{name}.npz") as file:
        recorded = {key: file[key] for key in file.files}
    segmentor = build_network(json.loads(str(recorded["net"])), recorded).train().to(device)
    images, labels = (torch.from_numpy(recorded[key]).to(device) for key in ("img", "gt"))
    losses = segmentor.forward_train(images.double(), [], labels.long())
    for head in ("decode", "aux"):
        expected = torch.from_numpy(recorded[f"loss/{head}.loss_cos_simi"])
        torch.testing.assert_close(losses[f"{head}.loss_properties"].detach().cpu(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("backbone", "label_space"), CASES)
def test_half_precision_gives_the_losses_of_float32_within_two_percent(
    backbone: str, label_space: str, dtype: torch.dtype, device: torch.device
) -> None:
    segmentor = small_network(backbone, label_space).eval().to(device)
    loss, _ = step(segmentor, to_device(batch(), device))
    segmentor.autocast = dtype
    half_loss, gradients = step(segmentor, to_device(batch(), device))
    torch.testing.assert_close(half_loss, loss, rtol=0.02, atol=0)
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize(("backbone", "label_space"), CASES)
def test_channels_last_changes_nothing(backbone: str, label_space: str, device: torch.device) -> None:
    segmentor = small_network(backbone, label_space).eval().to(device)
    data = to_device(batch(), device)
    loss, gradients = step(segmentor, data)
    segmentor.to(memory_format=torch.channels_last)
    data["img"] = data["img"].to(memory_format=torch.channels_last)
    other_loss, other_gradients = step(segmentor, data)
    torch.testing.assert_close(other_loss, loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other_gradients, gradients, rtol=1e-3, atol=1e-4)


@pytest.fixture
def no_waiting(device: torch.device) -> Iterator[None]:
    """CUDA's own watch over calls that wait for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize(("backbone", "label_space"), CASES)
def test_training_step_waits_for_nothing(
    backbone: str, label_space: str, device: torch.device, request: pytest.FixtureRequest
) -> None:
    segmentor = small_network(backbone, label_space).train().to(device)
    data = to_device(batch(), device)
    segmentor.train_step(data, None)["loss"].backward()  # libraries are loaded in the first step
    request.getfixturevalue("no_waiting")
    segmentor.train_step(data, None)["loss"].backward()


def test_deformable_attention_is_the_cpus(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = [(16, 24), (8, 12), (4, 6)]
    value = torch.randn(2, sum(height * width for height, width in sizes), 3, 8, generator=generator)
    locations = torch.rand(2, 96, 3, 3, 4, 2, generator=generator) * 1.4 - 0.2
    weights = torch.rand(2, 96, 3, 3, 4, generator=generator)
    outputs = []
    for place in (torch.device("cpu"), device):
        leaves = [each.to(place).double().requires_grad_() for each in (value, locations, weights)]
        output = multi_scale_deformable_attention(leaves[0], sizes, leaves[1], leaves[2])
        output.square().sum().backward()
        outputs.append([output.detach().cpu(), *(leaf.grad.cpu() for leaf in leaves if leaf.grad is not None)])
    torch.testing.assert_close(outputs[1], outputs[0])


def test_inductor_gives_the_same_prediction_and_loss(device: torch.device) -> None:
    segmentor = small_network("vit", "sigmoid").eval().to(device)
    data = to_device(batch(), device)
    with torch.no_grad():
        similarities = torch.compile(segmentor.similarities, fullgraph=True)(data["img"])
        torch.testing.assert_close(similarities, segmentor.similarities(data["img"]), rtol=1e-3, atol=1e-3)
    losses, compiled = (run(**data) for run in (segmentor.forward_train, torch.compile(segmentor.forward_train)))
    torch.testing.assert_close(compiled, losses, rtol=1e-3, atol=1e-4)
    sum(loss for name, loss in compiled.items() if "loss" in name).backward()


def test_labels_are_the_cpus(device: torch.device) -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 101, 3), dtype=np.uint8)
    segmentor = small_network("beit", "normalised")
    labels = Predictor(segmentor).labels(image)
    others = Predictor(segmentor, device=str(device)).labels(image)
    assert (labels == others).mean() > 0.999  # all but those that rounding decides


@pytest.mark.parametrize(
    ("checkpointing", "autocast", "gibibytes"), [(False, None, 8), (True, None, 5), (True, torch.bfloat16, 5)]
)
def test_base_networks_step_fits(
    checkpointing: bool, autocast: torch.dtype | None, gibibytes: float, device: torch.device
) -> None:
    """ViT-Adapter-B with 256 properties and 150 classes, two images of 512 x 512, weights and gradients included."""
    segmentor = build(checkpointing).train().to(device)
    segmentor.autocast = autocast
    images = torch.randn(2, 3, CROP, CROP, device=device)
    labels = torch.randint(0, CLASSES, (2, 1, CROP, CROP), device=device)
    torch.cuda.reset_peak_memory_stats(device)
    segmentor.train_step({"img": images, "img_metas": [], "gt_semantic_seg": labels}, None)["loss"].backward()
    assert torch.cuda.max_memory_allocated(device) < gibibytes * 2**30
