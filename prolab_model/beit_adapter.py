"""BEiT-Adapter: BEiT's or BEiTv2's transformer with the adapter (spec 2.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prolab_model.adapter import Geometry
from prolab_model.adapter_backbone import AdapterBackbone, drop_path_rates
from prolab_model.beit import BEiTBlock
from prolab_model.openmmlab import BACKBONES
from prolab_model.relative_position import RelativePositions
from prolab_model.resampling import Size
from prolab_model.vit import rows_and_columns


@BACKBONES.register_module()
class BEiTAdapter(AdapterBackbone):
    """BEiT with adapter; parameter names are those of the reference.

    The class token takes part in the transformer's blocks only. The reference's buffers
    `relative_position_index` are ignored when a file has them, and never wanted.

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
        grid: (rows, columns) of patches, or one number for both, for which the tables of relative
            positions are made: 40 for crops of 640 pixels. Other sizes' are interpolated.
        layer_scale: what `gamma_1` and `gamma_2` start from.
        checkpoint_activations: compute again in the backward pass instead of keeping activations.

    Raises:
        ValueError: when `interactions` do not cover the blocks in order.
    """

    def __init__(
        self,
        dim: int = 1024,
        depth: int = 24,
        heads: int = 16,
        interactions: Sequence[tuple[int, int]] = ((0, 5), (6, 11), (12, 17), (18, 23)),
        deform_heads: int = 16,
        drop_path: float = 0.3,
        mlp_ratio: float = 4.0,
        conv_inplanes: int = 64,
        deform_points: int = 4,
        deform_ratio: float = 0.5,
        ffn_ratio: float = 0.25,
        grid: int | Size = 40,
        layer_scale: float = 1e-6,
        checkpoint_activations: bool = False,
    ) -> None:
        table_grid = rows_and_columns(grid)
        super().__init__(
            [
                BEiTBlock(dim, heads, mlp_ratio, rate, table_grid, layer_scale)
                for rate in drop_path_rates(drop_path, depth)
            ],
            dim,
            interactions,
            deform_heads,
            drop_path,
            conv_inplanes,
            deform_points,
            deform_ratio,
            ffn_ratio,
            injector_gamma=1e-6,
            checkpoint_activations=checkpoint_activations,
        )
        self.grid = table_grid
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    def embed(self, images: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
        """Patch tokens (B, N, dim) and the class token of each image (B, 1, dim)."""
        x = self.patch_embed(images)
        return x, self.cls_token.expand(x.shape[0], -1, -1)

    def block_arguments(self, geometry: Geometry) -> tuple[RelativePositions]:
        """The tokens' relative positions."""
        return (RelativePositions.of_grid(geometry.grid, self.cls_token.device),)
