"""Multi-scale deformable attention."""

from ops.deformable_attention import MSDeformAttn, exporting, multi_scale_deformable_attention

__all__ = ["MSDeformAttn", "exporting", "multi_scale_deformable_attention"]
