"""ViT-Adapter: a plain vision transformer that gives four feature maps (spec 2.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prolab_model.adapter import Geometry
from prolab_model.adapter_backbone import AdapterBackbone, drop_path_rates
from prolab_model.openmmlab import BACKBONES
from prolab_model.vit import Block, resize_position_embedding, rows_and_columns


@BACKBONES.register_module()
class ViTAdapter(AdapterBackbone):
    """DeiT-style ViT with adapter; parameter names are those of the reference.

    Args:
        dim: width of the transformer.
        depth: number of its blocks.
        heads: attention heads of a block.
        interactions: first and last block of each run between injector and extractor.
        deform_heads: heads of the deformable attention.
        drop_path: rate of the last block, to which the others rise linearly, and of every extractor.
        mlp_ratio: hidden width of a block's MLP relative to `dim`.
        conv_inplanes: channels of the convolutional stem.
        deform_points: samples each deformable head takes of each level.
        deform_ratio: width of the deformable attention's values relative to `dim`.
        ffn_ratio: hidden width of the extractors' feed-forward network relative to `dim`.
        pretrain_grid: (rows, columns) of the position embedding, or one number for both.
        checkpoint_activations: compute again in the backward pass instead of keeping activations.

    Raises:
        ValueError: when `interactions` do not cover the blocks in order.
    """

    def __init__(
        self,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        interactions: Sequence[tuple[int, int]] = ((0, 2), (3, 5), (6, 8), (9, 11)),
        deform_heads: int = 12,
        drop_path: float = 0.3,
        mlp_ratio: float = 4.0,
        conv_inplanes: int = 64,
        deform_points: int = 4,
        deform_ratio: float = 0.5,
        ffn_ratio: float = 0.25,
        pretrain_grid: int | tuple[int, int] = 14,
        checkpoint_activations: bool = False,
    ) -> None:
        super().__init__(
            [Block(dim, heads, mlp_ratio, rate) for rate in drop_path_rates(drop_path, depth)],
            dim,
            interactions,
            deform_heads,
            drop_path,
            conv_inplanes,
            deform_points,
            deform_ratio,
            ffn_ratio,
            injector_gamma=0.0,
            checkpoint_activations=checkpoint_activations,
        )
        self.pretrain_grid = rows_and_columns(pretrain_grid)
        rows, columns = self.pretrain_grid
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + rows * columns, dim))

    def embed(self, images: Tensor, geometry: Geometry) -> tuple[Tensor, None]:
        """Patch tokens (B, N, dim) with their positions; the class token's position is not used."""
        positions = resize_position_embedding(self.pos_embed[:, 1:], self.pretrain_grid, geometry.grid)
        return self.patch_embed(images) + positions, None
