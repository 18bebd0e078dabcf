"""The segmentor: backbone and heads that predict embeddings, and the label space that reads them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model import beit_adapter, vit_adapter  # noqa: F401  # registers the backbones that configs name
from prolab_model.heads import PropertyHead
from prolab_model.label_space import build_label_space, total_weight
from prolab_model.openmmlab import SEGMENTORS, ConfigDict, EncoderDecoder
from prolab_model.resampling import Size, same_size
from prolab_model.windows import Window, place_windows

Config = Mapping[str, Any]

STRIDE = 32
"""Backbones take images whose sides are multiples of this."""


@SEGMENTORS.register_module()
class PropertySegmentor(EncoderDecoder):
    """Predicts an embedding for every pixel; the label space turns it into properties and classes.

    Args:
        backbone: config of a backbone that gives four maps.
        decode_head: config of the `PropertyHead` whose embeddings are the prediction.
        auxiliary_head: config of a second head that only takes part in training, or nothing.
        label_space: kind and arguments of a `LabelSpace`.
        auxiliary_weight: weight of the auxiliary head's loss.
        reference_quirks: train as the original did: ignored pixels count with a constant loss of 1, both heads
            weigh the same, and the accuracy is that of all pixels, the ignored ones always wrong (spec 5.1).
        test_cfg: mmsegmentation's: mode "whole", or "slide" with crop_size and stride.
        train_cfg: accepted since mmsegmentation's builder passes it; not used.

    Raises:
        ValueError: when a head is no `PropertyHead` or wants aligned corners.
    """

    class_weights: Tensor  # (N,)

    def __init__(
        self,
        backbone: Config,
        decode_head: Config,
        label_space: Config,
        auxiliary_head: Config | None = None,
        auxiliary_weight: float = 0.4,
        reference_quirks: bool = False,
        test_cfg: Config | None = None,
        train_cfg: Config | None = None,
    ) -> None:
        with warnings.catch_warnings():
            # The heads' own loss warns of its settings; the label space's takes its place.
            warnings.simplefilter("ignore", UserWarning)
            super().__init__(
                backbone, decode_head, auxiliary_head=auxiliary_head, test_cfg=ConfigDict(test_cfg or {"mode": "whole"})
            )
        for head in self._heads():
            if not isinstance(head, PropertyHead) or head.align_corners:
                raise ValueError(
                    f"heads must be property heads (PropertyUPerHead, ...) with align_corners=False; "
                    f"got {type(head).__name__} with align_corners={head.align_corners}"
                )
            nn.init.normal_(head.conv_seg.weight, std=0.01)
            nn.init.zeros_(head.conv_seg.bias)
        self.label_space = build_label_space(**label_space)
        self.auxiliary_weight = 1.0 if reference_quirks else auxiliary_weight
        self.reference_quirks = reference_quirks
        # mmsegmentation's sliding window allocates this many channels: class scores, not embeddings.
        self.num_classes = self.out_channels = self.label_space.class_matrix.shape[0]
        self.register_buffer("class_weights", torch.ones(self.num_classes), persistent=False)
        self.autocast: torch.dtype | None = None  # dtype of the arithmetic in training, where not float32
        self.measure_accuracy = True  # in training; costs class scores for every pixel, so whoever logs less may say so

    def _heads(self) -> list[PropertyHead]:
        return [self.decode_head, self.auxiliary_head] if self.with_auxiliary_head else [self.decode_head]

    def train_step(
        self, data_batch: Config, optimizer: torch.optim.Optimizer | None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """One iteration's loss, as mmcv's runner wants it; backward pass and step are others'.

        Returns:
            "loss", and "accuracy" where it is measured, left on the device so that nobody waits for it.
        """
        with torch.autocast(data_batch["img"].device.type, self.autocast, enabled=self.autocast is not None):
            parts = self.forward_train(**data_batch)
        outputs = {"loss": torch.stack([value for name, value in parts.items() if "loss" in name]).sum()}
        if self.measure_accuracy:
            outputs["accuracy"] = parts["decode.accuracy"]
        return outputs

    def forward_train(
        self, img: Tensor, img_metas: Sequence[Config], gt_semantic_seg: Tensor, total_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Losses of both heads and the main head's pixel accuracy.

        Args:
            img: (B, 3, H, W), H and W multiples of 32.
            img_metas: what the pipeline collected of each image; `first_class` is read where the labels are those of
                several data sets.
            gt_semantic_seg: (B, 1, H, W), class ids, which begin with 0 in each data set.
            total_weight: `total_weight` of the whole batch, where these images are a part of one.
        """
        features = self.extract_feat(img)
        loss_of = partial(
            self._loss, features=features, labels=gt_semantic_seg, img_metas=img_metas, total_weight=total_weight
        )
        loss, accuracy = loss_of(self.decode_head, measure_accuracy=self.measure_accuracy)
        losses = {"decode.loss_properties": loss}
        if self.measure_accuracy:
            losses["decode.accuracy"] = accuracy
        if self.with_auxiliary_head:
            auxiliary, _ = loss_of(self.auxiliary_head, measure_accuracy=False)
            losses["aux.loss_properties"] = self.auxiliary_weight * auxiliary
        return losses

    def _first_classes(self, img_metas: Sequence[Config], device: torch.device) -> Tensor | None:
        if not getattr(self.label_space, "groups", 0):
            return None
        return torch.tensor([meta["first_class"] for meta in img_metas], device=device)

    def total_weight(self, img_metas: Sequence[Config], gt_semantic_seg: Tensor) -> Tensor:
        """Sum of the weights of all pixels of a batch, which the loss is divided by; arguments as `forward_train`'s."""
        first_classes = self._first_classes(img_metas, gt_semantic_seg.device)
        return total_weight(gt_semantic_seg[:, 0], self.class_weights, self.reference_quirks, first_classes)

    def _loss(
        self,
        head: PropertyHead,
        features: Sequence[Tensor],
        labels: Tensor,
        img_metas: Sequence[Config],
        total_weight: Tensor | None,
        measure_accuracy: bool,
    ) -> tuple[Tensor, Tensor]:
        return self.label_space.loss(
            head(features),
            head.conv_seg,
            labels[:, 0],
            self.class_weights,
            count_ignored=self.reference_quirks,
            measure_accuracy=measure_accuracy,
            first_classes=self._first_classes(img_metas, labels.device),
            total_weight=total_weight,
        )

    def predicting(self, classes: slice) -> PropertySegmentor:
        """The very network, but that it predicts some of its classes alone, such as those of one data set."""
        if classes == slice(0, self.num_classes):
            return self
        part = copy.copy(self)
        part._modules = {**self._modules, "label_space": self.label_space.part(classes)}
        part.num_classes = part.out_channels = classes.stop - classes.start
        return part

    def similarities(self, img: Tensor) -> Tensor:
        """What the pixels of images (B, 3, H, W) have of every property: (B, K, h / 4, w / 4).

        The network sees the images with their sides rounded up to multiples of 32, (h, w).
        """
        given = (img.shape[-2], img.shape[-1])
        size = (_round_up(given[0]), _round_up(given[1]))
        if not same_size(given, size):
            img = F.interpolate(img, size=size, mode="bilinear", align_corners=False)
        return self.label_space.similarities(self.decode_head(self.extract_feat(img)), self.decode_head.conv_seg)

    def windows(self, size: Size) -> list[Window]:
        """Windows through which the network looks at an image of `size` (H, W), as `test_cfg` says."""
        if self.test_cfg.mode == "whole":
            return [Window(0, 0, *size)]
        return place_windows(size, self.test_cfg.crop_size, self.test_cfg.stride)

    def encode_decode(self, img: Tensor, img_metas: Sequence[Config]) -> Tensor:
        """Class scores of images (B, 3, H, W): (B, N, H, W)."""
        scores = self.label_space.class_scores(self.similarities(img))
        return F.interpolate(scores, size=img.shape[-2:], mode="bilinear", align_corners=False)


def _round_up(side: int) -> int:
    return (side + STRIDE - 1) // STRIDE * STRIDE
