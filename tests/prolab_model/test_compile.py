"""Compiled networks do what the others do: prediction as one graph, training with a break for the strips only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from prolab_model.segmentor import PropertySegmentor
from tests.prolab_model.variety import batch, small_network


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def training_step(segmentor: PropertySegmentor, backend: str | None) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients by name, in the segmentor's dtype; compiled where a backend is named."""
    step = segmentor.forward_train if backend is None else torch.compile(segmentor.forward_train, backend=backend)
    data = batch()
    data["img"] = data["img"].to(segmentor.class_weights.dtype)
    losses = step(**data)
    loss = losses["decode.loss_properties"] + losses["aux.loss_properties"]
    loss.backward()
    return loss.detach(), {name: parameter.grad for name, parameter in segmentor.named_parameters()}


def test_prediction_of_photos_that_are_resized_is_one_graph() -> None:
    """Sides that are no multiples of 32 are rounded up before the backbone sees them, whichever it is."""
    segmentor = small_network("deeplab", "sigmoid").eval()
    compiled = torch.compile(segmentor.similarities, backend="eager", fullgraph=True)
    images = torch.randn(2, 3, 50, 131)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images), segmentor.similarities(images))


@pytest.mark.parametrize(
    "backbone",
    [
        pytest.param("vit", marks=pytest.mark.slow),
        pytest.param("beit", marks=pytest.mark.slow),
        "deeplab",
        "segformer",
    ],
)
def test_prediction_is_compiled_once_for_all_sizes(backbone: str) -> None:
    segmentor = small_network(backbone, "normalised").eval()
    compiled = torch.compile(segmentor.similarities, backend="eager", fullgraph=True, dynamic=True)
    with torch.no_grad():
        compiled(torch.randn(2, 3, 64, 96))
        with torch.compiler.set_stance("fail_on_recompile"):
            for size in ((3, 3, 96, 160), (4, 3, 128, 64)):
                images = torch.randn(size)
                torch.testing.assert_close(compiled(images), segmentor.similarities(images))


@pytest.mark.parametrize(("backbone", "label_space"), [("vit", "contrast"), ("beit", "normalised")])
def test_training_gives_the_same_loss_and_gradients(backbone: str, label_space: str) -> None:
    """In float64, where nothing that differs is rounding."""
    (loss, gradients), (compiled_loss, compiled_gradients) = (
        training_step(small_network(backbone, label_space).eval().double(), backend) for backend in (None, "aot_eager")
    )
    torch.testing.assert_close(compiled_loss, loss)
    torch.testing.assert_close(compiled_gradients, gradients)


def test_only_the_strips_break_the_training_graph() -> None:
    segmentor = small_network("vit", "normalised").eval()
    explanation = torch._dynamo.explain(segmentor.forward_train)(**batch())
    assert explanation.break_reasons
    assert all("sum_over_pixels" in reason.reason for reason in explanation.break_reasons)
