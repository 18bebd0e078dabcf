"""What ViT-Adapter and BEiT-Adapter share: a transformer, the adapter beside it, and the four maps they give."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ops import MSDeformAttn
from prolab_model.adapter import Geometry, InteractionBlock, SpatialPriorModule
from prolab_model.recompute import recompute
from prolab_model.vit import PatchEmbed

Maps = tuple[Tensor, Tensor, Tensor, Tensor]


def drop_path_rates(last: float, depth: int) -> list[float]:
    """Rates of `depth` blocks, rising linearly from 0 to `last`."""
    return [last * index / max(depth - 1, 1) for index in range(depth)]


class AdapterBackbone(nn.Module, ABC):
    """A transformer with the adapter of spec 2.1 beside it; parameter names are those of the reference.

    Subclasses bring the transformer's blocks and say how images become tokens.

    Args:
        blocks: the transformer's blocks.
        dim: width of the transformer.
        interactions: first and last block of each run between injector and extractor.
        deform_heads: heads of the deformable attention.
        drop_path: rate of every extractor.
        conv_inplanes: channels of the convolutional stem.
        deform_points: samples each deformable head takes of each level.
        deform_ratio: width of the deformable attention's values relative to `dim`.
        ffn_ratio: hidden width of the extractors' feed-forward network relative to `dim`.
        injector_gamma: what the injectors' `gamma` starts from.
        checkpoint_activations: run blocks, injectors and extractors again in the backward pass
            instead of keeping what they computed: less memory, more time, the same gradients.

    Raises:
        ValueError: when `interactions` do not cover the blocks in order.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        dim: int,
        interactions: Sequence[tuple[int, int]],
        deform_heads: int,
        drop_path: float,
        conv_inplanes: int,
        deform_points: int,
        deform_ratio: float,
        ffn_ratio: float,
        injector_gamma: float,
        checkpoint_activations: bool,
    ) -> None:
        super().__init__()
        covered = [block for first, last in interactions for block in range(first, last + 1)]
        if covered != list(range(len(blocks))) or len(interactions) != 4:
            raise ValueError(
                f"interactions must be four runs that cover blocks 0 to {len(blocks) - 1} in order; got {interactions}"
            )
        self.interaction_runs = [(first, last) for first, last in interactions]
        self.checkpoint_activations = checkpoint_activations
        self.patch_embed = PatchEmbed(16, dim)
        self.blocks = nn.ModuleList(blocks)
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
                injector_gamma,
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

    @abstractmethod
    def embed(self, images: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor | None]:
        """Patch tokens (B, N, dim) of images (B, 3, H, W), and the class token (B, 1, dim) if there is one."""

    def block_arguments(self, geometry: Geometry) -> tuple[object, ...]:
        """What every block takes besides the tokens."""
        return ()

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

    def forward(self, images: Tensor) -> Maps:
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
        x, class_token = self.embed(images, geometry)
        arguments = self.block_arguments(geometry)

        maps = []
        for interaction, (first, last) in zip(self.interactions, self.interaction_runs, strict=True):
            assert isinstance(interaction, InteractionBlock)
            x = self._run(interaction.injector, x, c, geometry)
            tokens = x if class_token is None else torch.cat((class_token, x), dim=1)
            for block in self.blocks[first : last + 1]:
                tokens = self._run(block, tokens, *arguments)
            x = tokens
            if class_token is not None:
                class_token, x = tokens[:, :1], tokens[:, 1:]
            for extractor in interaction.extractors():
                c = self._run(extractor, c, x, geometry)
            maps.append(x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *geometry.grid))
        return self._combine(c1, c, maps, geometry)

    def _run(self, module: nn.Module, *arguments: object) -> Tensor:
        if self.checkpoint_activations:
            return recompute(module, *arguments)
        output: Tensor = module(*arguments)
        return output

    def _combine(self, c1: Tensor, c: Tensor, maps: Sequence[Tensor], geometry: Geometry) -> Maps:
        """Pyramid plus the transformer's maps of matching size, each normalised."""
        c2, c3, c4 = geometry.split(c)
        x1, x2, x3, x4 = maps
        c1 = self.up(c2).add_(c1).add_(_resize(x1, c1))
        c2 = c2 + _resize(x2, c2)
        c3 = c3 + x3
        c4 = c4 + _resize(x4, c4)
        return self.norm1(c1), self.norm2(c2), self.norm3(c3), self.norm4(c4)


def _resize(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[-2:], mode="bilinear", align_corners=False)
