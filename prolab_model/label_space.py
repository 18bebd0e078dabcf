"""The property label space: what an embedding says of properties, and properties of classes (spec 2.4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model.dataset_config import IGNORED

CONTRAST_TEMPERATURE = 0.05
"""Divides the class scores before the softmax of the contrast term: cosines lie too close together without it."""


class PropertyLabelSpace(nn.Module):
    """K properties as centres in the text space, and N classes as multi-hot vectors over them.

    The buffers travel with the network's state, so that a checkpoint is whole by itself.

    Args:
        properties: K.
        classes: N.
        width: D, the channels of an embedding.
        temperature: divides the similarities before the sigmoid.
    """

    centres: Tensor  # (K, D), unit rows
    class_matrix: Tensor  # (N, K), zeros and ones

    def __init__(
        self, properties: int, classes: int, width: int, temperature: float = 0.04, contrast: float = 0.0
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.contrast = contrast
        self.register_buffer("centres", torch.zeros(properties, width))
        self.register_buffer("class_matrix", torch.zeros(classes, properties))

    def assign(self, centres: Tensor, class_matrix: Tensor) -> None:
        """Take over centres (K, D), which are normalised, and class matrix (N, K).

        Raises:
            ValueError: when a shape differs, or a class has no property.
        """
        for name, given, own in (
            ("centres", centres, self.centres),
            ("class matrix", class_matrix, self.class_matrix),
        ):
            if given.shape != own.shape:
                raise ValueError(f"{name}: expected shape {tuple(own.shape)}, got {tuple(given.shape)}")
        without = (class_matrix.sum(dim=1) == 0).nonzero().flatten().tolist()
        if without:
            raise ValueError(f"every class needs a property; classes {without} have none")
        self.centres.copy_(F.normalize(centres, dim=1))
        self.class_matrix.copy_(class_matrix)

    def similarities(self, embeddings: Tensor) -> Tensor:
        """Embeddings (B, D, H, W) to similarities with the K centres, over temperature (B, K, H, W)."""
        centres = self.centres.to(embeddings.dtype)
        return F.conv2d(embeddings, centres[:, :, None, None] / self.temperature)

    def properties(self, similarities: Tensor) -> Tensor:
        """Property vectors, between 0 and 1, for similarities of any shape; at least float32."""
        return similarities.to(torch.promote_types(similarities.dtype, torch.float32)).sigmoid()

    def class_scores(self, properties: Tensor) -> Tensor:
        """Cosine of property vectors (B, K, H, W) with every class's row: (B, N, H, W)."""
        rows = F.normalize(self.class_matrix, dim=1).to(properties.dtype)
        length = properties.square().sum(dim=1, keepdim=True).clamp_min(1e-16).sqrt()
        return F.conv2d(properties, rows[:, :, None, None]) / length

    def loss(self, embeddings: Tensor, labels: Tensor, class_weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """One minus the cosine of a pixel's properties and its class's, plus the contrast; mean of the labelled pixels.

        The K similarities are upsampled to the labels' size, not the D embeddings: the same
        figures, since both maps are linear, in K / D of the memory.

        Args:
            embeddings: (B, D, h, w).
            labels: (B, H, W), class ids; `IGNORED` pixels do not count.
            class_weights: (N,), how much a pixel of each class counts; all alike if not given.

        Returns:
            The loss, and the share of labelled pixels whose class is right; both scalars.
        """
        similarities = F.interpolate(
            self.similarities(embeddings), size=labels.shape[-2:], mode="bilinear", align_corners=False
        )
        scores = self.class_scores(self.properties(similarities))  # (B, N, H, W)
        labelled = labels != IGNORED
        label = torch.where(labelled, labels, 0)
        pixel_weights = labelled.to(scores.dtype)
        if class_weights is not None:
            pixel_weights = pixel_weights * class_weights.to(scores.dtype)[label]
        distance = 1 - scores.gather(1, label[:, None])[:, 0]
        # A batch without a labelled pixel has loss zero, not 0 / 0.
        if self.contrast:
            distance = distance + self.contrast * F.cross_entropy(
                scores / CONTRAST_TEMPERATURE, label, reduction="none"
            )
        loss = (distance * pixel_weights).sum() / pixel_weights.sum().clamp_min(1e-6)
        with torch.no_grad():
            right = (scores.argmax(dim=1) == label) & labelled
            accuracy = right.sum() / labelled.sum().clamp_min(1)
        return loss, accuracy
