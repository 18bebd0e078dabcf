"""Networks as files that run without this project: programs of `torch.export`, and ONNX."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from prolab_model.data import IMAGE_MEAN, IMAGE_STD
from prolab_model.segmentor import PropertySegmentor
from prolab_model.whole_files import written_whole

_AXES = {"images": {0: "batch", 2: "height", 3: "width"}}
_OUTPUTS = ("labels", "scores", "properties")


class PhotoNetwork(nn.Module):
    """From photos as they are decoded to all that a user asks of them: what is exported."""

    mean: Tensor  # (3, 1, 1)
    std: Tensor  # (3, 1, 1)

    def __init__(self, segmentor: PropertySegmentor) -> None:
        super().__init__()
        self.segmentor = segmentor
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Labels, scores and properties of photos, seen whole, with sides rounded up to multiples of 32, (h, w).

        Args:
            images: (B, 3, H, W), RGB from 0 to 255, float32.

        Returns:
            labels: (B, H, W), int64; the class with the largest score.
            scores: (B, N, h / 4, w / 4).
            properties: (B, K, h / 4, w / 4).
        """
        similarities = self.segmentor.similarities((images - self.mean) / self.std)
        scores = self.segmentor.label_space.class_scores(similarities)
        upsampled = F.interpolate(scores, size=images.shape[-2:], mode="bilinear", align_corners=False)
        return {
            "labels": upsampled.argmax(dim=1),
            "scores": scores,
            "properties": self.segmentor.label_space.properties(similarities),
        }


def export_network(segmentor: PropertySegmentor) -> torch.export.ExportedProgram:
    """The network as a program of `torch.export`, for any number of photos with sides from 33 pixels on.

    SegFormer's attention adds a guard against single photos, which they do not need:
    `module(check_guards=False)` waives it.

    Args:
        segmentor: on the CPU, in float32; put into evaluation mode.

    Returns:
        A program that takes and returns what `PhotoNetwork.forward` does.
    """
    network = PhotoNetwork(segmentor).eval()
    dynamic = dict.fromkeys(_AXES["images"], torch.export.Dim.DYNAMIC)
    # Two photos and unequal sides, none of them a size that occurs inside: what is equal here would be held equal.
    photos = torch.zeros(2, 3, 70, 101)
    # The fused kernels give other strides than the operators that ONNX takes attention apart into.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        return torch.export.export(network, (photos,), dynamic_shapes={"images": dynamic})


def export_onnx(
    segmentor: PropertySegmentor, path: Path, classes: Sequence[str], properties: Sequence[str]
) -> torch.export.ExportedProgram:
    """Write the network as an ONNX file, which appears only when it is whole.

    Input and outputs are those of `PhotoNetwork.forward`, by the same names, for any number of
    photos of any size. The file's metadata hold the names of classes and properties as JSON lists.

    Args:
        segmentor: on the CPU, in float32; put into evaluation mode.
        path: the file.
        classes: names of the N classes.
        properties: names of the K properties.

    Returns:
        The program of `export_network` that was written.

    Raises:
        ModuleNotFoundError: when the extra `onnx` is not installed.
    """
    import onnx_ir
    from onnx_ir.passes import common
    from onnxscript.optimizer import fold_constants

    program = export_network(segmentor)
    with _quiet():
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            converted = torch.onnx.export(
                program,
                dynamo=True,
                input_names=["images"],
                output_names=list(_OUTPUTS),
                dynamic_shapes=_AXES,
                optimize=False,
                verbose=False,
            )
        assert converted is not None
        model = converted.model
        # Half a second, where the exporter's own optimisation takes minutes, and leaves a third of the nodes.
        fold_constants(model)
        for clean in (
            common.RemoveUnusedNodesPass(),
            common.CommonSubexpressionEliminationPass(),
            common.IdentityEliminationPass(),
            common.DeduplicateInitializersPass(),
        ):
            clean(model)
    model.metadata_props["classes"] = json.dumps(list(classes), ensure_ascii=False)
    model.metadata_props["properties"] = json.dumps(list(properties), ensure_ascii=False)
    model.metadata_props["images"] = "RGB, 0 to 255, float32, (batch, 3, height, width)"
    with written_whole(path) as file:
        onnx_ir.save(model, file)
    return program


@dataclass(frozen=True)
class Difference:
    """How far ONNX Runtime's outputs are from PyTorch's on the same images.

    Attributes:
        scores: largest difference of a class score.
        properties: largest difference of a property.
        labels: share of the pixels that get another class.
    """

    scores: float
    properties: float
    labels: float


def measure_difference(segmentor: PropertySegmentor, path: Path, images: Tensor) -> Difference:
    """Run a file that `export_onnx` wrote beside the network that it was written from.

    Args:
        segmentor: on the CPU, in evaluation mode.
        path: the file.
        images: (B, 3, H, W), RGB from 0 to 255, float32.

    Raises:
        ModuleNotFoundError: when the extra `onnx` is not installed.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs = dict(zip(_OUTPUTS, map(torch.from_numpy, session.run(_OUTPUTS, {"images": images.numpy()})), strict=True))
    with torch.no_grad():
        ours = PhotoNetwork(segmentor)(images)
    largest = {name: (ours[name] - theirs[name]).abs().max().item() for name in ("scores", "properties")}
    return Difference(**largest, labels=(ours["labels"] != theirs["labels"]).float().mean().item())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says of torchvision's absence, its own deprecated parts and what it does not fold."""
    loggers = {name: logging.getLogger(name) for name in ("torch.onnx", "onnxscript")}
    levels = {name: logger.level for name, logger in loggers.items()}
    for logger in loggers.values():
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, logger in loggers.items():
            logger.setLevel(levels[name])
