"""ViT-Adapter: a plain vision transformer that gives four feature maps (spec 2.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops import MSDeformAttn
from prolab_model.adapter import Geometry, InteractionBlock, SpatialPriorModule
from prolab_model.openmmlab import BACKBONES
from prolab_model.vit import Block, PatchEmbed, resize_position_embedding


@BACKBONES.register_module()
class ViTAdapter(nn.Module):
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
        pretrain_grid: rows (and columns) of the position embedding.

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
        pretrain_grid: int = 14,
    ) -> None:
        super().__init__()
        covered = [block for first, last in interactions for block in range(first, last + 1)]
        if covered != list(range(depth)) or len(interactions) != 4:
            raise ValueError(
                f"interactions must be four runs that cover blocks 0 to {depth - 1} in order; got {interactions}"
            )
        self.interaction_runs = [(first, last) for first, last in interactions]
        self.patch_embed = PatchEmbed(16, dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + pretrain_grid**2, dim))
        rates = [drop_path * index / (depth - 1) for index in range(depth)]
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio, rate) for rate in rates)
        self.level_embed = nn.Parameter(torch.zeros(3, dim))
        self.spm = SpatialPriorModule(conv_inplanes, dim)
        self.interactions = nn.ModuleList(
            InteractionBlock(
                dim,
                deform_heads,
                deform_points,
                deform_ratio,
                ffn_ratio,
                drop_path,
                injector_gamma=0.0,
                extra_extractors=2 if index == len(interactions) - 1 else 0,
            )
            for index in range(len(interactions))
        )
        self.up = nn.ConvTranspose2d(dim, dim, 2, stride=2)
        self.norm1 = nn.BatchNorm2d(dim)
        self.norm2 = nn.BatchNorm2d(dim)
        self.norm3 = nn.BatchNorm2d(dim)
        self.norm4 = nn.BatchNorm2d(dim)
        self.init_weights()

    def init_weights(self) -> None:
        """Initialise the adapter as the reference does; the transformer keeps PyTorch's defaults until weights load."""
        nn.init.normal_(self.level_embed)
        for part in (self.spm, self.interactions, self.up):
            for module in part.modules():
                if isinstance(module, nn.Linear):
                    nn.init.trunc_normal_(module.weight, std=0.02)
                    nn.init.zeros_(module.bias)
                elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                    fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                    nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, MSDeformAttn):
                module.reset_parameters()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Four maps (B, dim, H/s, W/s) at strides s = 4, 8, 16, 32.

        Args:
            images: (B, 3, H, W) with H and W multiples of 32.

        Raises:
            ValueError: when H or W is no multiple of 32.
        """
        height, width = images.shape[-2:]
        if height % 32 or width % 32:
            raise ValueError(f"height and width must be multiples of 32; got {height} x {width}")
        geometry = Geometry.of_image(height, width, images.device)

        c1, *levels = self.spm(images)
        c = torch.cat([level + embed for level, embed in zip(levels, self.level_embed, strict=True)], dim=1)
        x = self.patch_embed(images)
        x = x + resize_position_embedding(self.pos_embed[:, 1:], *geometry.grid)

        maps = []
        for interaction, (first, last) in zip(self.interactions, self.interaction_runs, strict=True):
            x, c = interaction(x, c, self.blocks[first : last + 1], geometry)
            maps.append(x.transpose(1, 2).unflatten(2, geometry.grid))
        return self._combine(c1, c, maps, geometry)

    def _combine(
        self, c1: Tensor, c: Tensor, maps: Sequence[Tensor], geometry: Geometry
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pyramid plus the transformer's maps of matching size, each normalised."""
        c2, c3, c4 = geometry.split(c)
        x1, x2, x3, x4 = maps
        c1 = c1 + self.up(c2) + _resize(x1, 4)
        c2 = c2 + _resize(x2, 2)
        c3 = c3 + x3
        c4 = c4 + _resize(x4, 0.5)
        return self.norm1(c1), self.norm2(c2), self.norm3(c3), self.norm4(c4)


def _resize(maps: Tensor, scale: float) -> Tensor:
    return F.interpolate(maps, scale_factor=scale, mode="bilinear", align_corners=False)
