"""Multi-scale deformable attention."""

from ops.deformable_attention import (
    MSDeformAttn,
    MSDeformAttnFunction,
    exporting,
    multi_scale_deformable_attention,
    multi_scale_deformable_attention_of_offsets,
)

__all__ = [
    "MSDeformAttn",
    "MSDeformAttnFunction",
    "exporting",
    "multi_scale_deformable_attention",
    "multi_scale_deformable_attention_of_offsets",
]
