"""Multi-scale deformable attention."""

from ops.deformable_attention import MSDeformAttn, multi_scale_deformable_attention

__all__ = ["MSDeformAttn", "multi_scale_deformable_attention"]
