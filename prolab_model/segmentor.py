"""The segmentor: backbone and heads that predict embeddings, and the label space that reads them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prolab_model import vit_adapter  # noqa: F401  # registers the backbone that configs name
from prolab_model.label_space import PropertyLabelSpace
from prolab_model.openmmlab import SEGMENTORS, ConfigDict, EncoderDecoder

Config = Mapping[str, Any]


@SEGMENTORS.register_module()
class PropertySegmentor(EncoderDecoder):
    """Predicts an embedding for every pixel; the label space turns it into properties and classes.

    The heads are mmsegmentation's own: their `num_classes` is the width of the embeddings.

    Args:
        backbone: config of a backbone that gives four maps.
        decode_head: config of the head whose embeddings are the prediction.
        auxiliary_head: config of a second head that only takes part in training.
        label_space: arguments of `PropertyLabelSpace`.
        auxiliary_weight: weight of the auxiliary head's loss.
        test_cfg: mmsegmentation's: mode "whole", or "slide" with crop_size and stride.
        train_cfg: accepted since mmsegmentation's builder passes it; not used.
    """

    class_weights: Tensor  # (N,)

    def __init__(
        self,
        backbone: Config,
        decode_head: Config,
        auxiliary_head: Config,
        label_space: Config,
        auxiliary_weight: float = 0.4,
        test_cfg: Config | None = None,
        train_cfg: Config | None = None,
    ) -> None:
        with warnings.catch_warnings():
            # The heads' own loss warns of its settings; the label space's takes its place.
            warnings.simplefilter("ignore", UserWarning)
            super().__init__(
                backbone, decode_head, auxiliary_head=auxiliary_head, test_cfg=ConfigDict(test_cfg or {"mode": "whole"})
            )
        for head in (self.decode_head, self.auxiliary_head):
            nn.init.normal_(head.conv_seg.weight, std=0.01)
            nn.init.zeros_(head.conv_seg.bias)
        self.label_space = PropertyLabelSpace(**label_space)
        self.auxiliary_weight = auxiliary_weight
        # mmsegmentation's sliding window allocates this many channels: class scores, not embeddings.
        self.num_classes = self.out_channels = self.label_space.class_matrix.shape[0]
        self.register_buffer("class_weights", torch.ones(self.num_classes), persistent=False)
        self.autocast: torch.dtype | None = None  # dtype of the arithmetic in training, where not float32

    def train_step(self, data_batch: Config, optimizer: torch.optim.Optimizer, **kwargs: Any) -> dict[str, Any]:
        """One iteration's losses, as mmcv's runner wants them; backward and step are its optimizer hook's."""
        with torch.autocast(data_batch["img"].device.type, self.autocast, enabled=self.autocast is not None):
            outputs: dict[str, Any] = super().train_step(data_batch, optimizer, **kwargs)
        return outputs

    def forward_train(self, img: Tensor, img_metas: Sequence[Config], gt_semantic_seg: Tensor) -> dict[str, Tensor]:
        """Losses of both heads and the main head's pixel accuracy.

        Args:
            img: (B, 3, H, W).
            img_metas: unused; part of mmsegmentation's protocol.
            gt_semantic_seg: (B, 1, H, W), class ids.
        """
        features = self.extract_feat(img)
        labels = gt_semantic_seg[:, 0]
        loss, accuracy = self.label_space.loss(self.decode_head(features), labels, self.class_weights)
        auxiliary, _ = self.label_space.loss(self.auxiliary_head(features), labels, self.class_weights)
        return {
            "decode.loss_properties": loss,
            "aux.loss_properties": self.auxiliary_weight * auxiliary,
            "decode.accuracy": accuracy,
        }

    def properties(self, img: Tensor) -> Tensor:
        """Property vectors, between 0 and 1, of images (B, 3, H, W): (B, K, H/4, W/4)."""
        embeddings = self.decode_head(self.extract_feat(img))
        return self.label_space.properties(self.label_space.similarities(embeddings))

    def encode_decode(self, img: Tensor, img_metas: Sequence[Config]) -> Tensor:
        """Class scores of images (B, 3, H, W): (B, N, H, W)."""
        scores = self.label_space.class_scores(self.properties(img))
        return F.interpolate(scores, size=img.shape[-2:], mode="bilinear", align_corners=self.align_corners)
