"""Decode heads for properties: mmsegmentation's, up to the features that its classifier would see.

The classifier (`conv_seg`, from features to embeddings of `num_classes` channels) is left to the
label space, which can do with less than the embeddings of every pixel (spec 2.3, 2.4).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from prolab_model.openmmlab import (
    HEADS,
    BaseDecodeHead,
    ConvModule,
    DepthwiseSeparableASPPHead,
    FCNHead,
    SegformerHead,
    UPerHead,
)
from prolab_model.resampling import adaptive_average_pool, convolve_resized


class PropertyHead(BaseDecodeHead):
    """A head whose forward pass gives features (B, channels, h, w), of which some are dropped in training."""

    def cls_seg(self, feat: Tensor) -> Tensor:
        """What mmsegmentation calls to classify the features: here they only pass the dropout."""
        return feat if self.dropout is None else self.dropout(feat)


@HEADS.register_module()
class PropertyUPerHead(PropertyHead, UPerHead):
    """UPerNet's head: pyramid pooling on the deepest map, fused with the others from the top down.

    The parameters are mmsegmentation's. The maps that are fused are never upsampled nor
    concatenated, which saves two thirds of the largest convolution and most of its memory.
    """

    def _forward_feature(self, inputs: Sequence[Tensor]) -> Tensor:
        maps = self._transform_inputs(inputs)
        laterals = [convolution(each) for convolution, each in zip(self.lateral_convs, maps[:-1], strict=True)]
        laterals.append(self._pool_pyramid(maps[-1]))
        for level in range(len(laterals) - 1, 0, -1):
            finer = laterals[level - 1]
            coarser = F.interpolate(laterals[level], size=finer.shape[-2:], mode="bilinear", align_corners=False)
            laterals[level - 1] = coarser.add_(finer)
        fused = [convolution(each) for convolution, each in zip(self.fpn_convs, laterals[:-1], strict=True)]
        return _convolve_resized(self.fpn_bottleneck, [*fused, laterals[-1]])

    def _pool_pyramid(self, deepest: Tensor) -> Tensor:
        pooled = [
            convolution(adaptive_average_pool(deepest, size))
            for size, (_, convolution) in zip(self.psp_modules.pool_scales, self.psp_modules, strict=True)
        ]
        return _convolve_resized(self.bottleneck, [deepest, *pooled])


@HEADS.register_module()
class PropertyFCNHead(PropertyHead, FCNHead):
    """A few convolutions on one map: the auxiliary head."""


@HEADS.register_module()
class PropertySeparableASPPHead(PropertyHead, DepthwiseSeparableASPPHead):
    """DeepLabV3+'s head."""


@HEADS.register_module()
class PropertySegformerHead(PropertyHead, SegformerHead):
    """SegFormer's head."""


def _convolve_resized(convolution: ConvModule, maps: Sequence[Tensor]) -> Tensor:
    """A 3x3 convolution module on maps resized to the first one's size and concatenated."""
    convolved = convolve_resized(maps, convolution.conv.weight)
    activated: Tensor = convolution.activate(convolution.norm(convolved))
    return activated
