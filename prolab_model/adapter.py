"""The adapter beside the transformer: a convolutional pyramid that exchanges features with its blocks.

ViT-Adapter (Chen et al., ICLR 2023, section 3), as ProLab uses it (spec 2.1). The pyramid
`c` is a sequence of tokens at strides 8, 16 and 32, in this order; the transformer's tokens
`x` lie at stride 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ops import MSDeformAttn
from prolab_model.vit import DropPath, linear_of_gelu


def pixel_centres(sizes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
    """Centres (x, y) in [0, 1] of every pixel of the maps, one after the other: (sum of H * W, 2)."""
    centres = []
    for height, width in sizes:
        y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
        x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        centres.append(torch.stack((columns.flatten(), rows.flatten()), dim=-1))
    return torch.cat(centres)


@dataclass(frozen=True)
class Geometry:
    """Sizes and reference points of one batch, shared by all interaction blocks.

    Attributes:
        grid: (height, width) of the transformer's tokens.
        pyramid: (height, width) of the three pyramid levels.
        grid_centres: (N, 2) reference points of the transformer's tokens.
        pyramid_centres: (S, 2) reference points of the pyramid's tokens.
    """

    grid: tuple[int, int]
    pyramid: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    grid_centres: Tensor
    pyramid_centres: Tensor

    @classmethod
    def of_image(cls, height: int, width: int, device: torch.device) -> Geometry:
        """Geometry for images of `height` x `width`, both multiples of 32."""
        pyramid = ((height // 8, width // 8), (height // 16, width // 16), (height // 32, width // 32))
        return cls(pyramid[1], pyramid, pixel_centres(pyramid[1:2], device), pixel_centres(pyramid, device))

    def split(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """Pyramid tokens (B, S, D) as one map (B, D, H, W) for each level."""
        levels = torch.split(tokens, [height * width for height, width in self.pyramid], dim=1)
        return tuple(
            level.transpose(1, 2).reshape(level.shape[0], level.shape[2], *size)
            for level, size in zip(levels, self.pyramid, strict=True)
        )


def _conv_bn_relu(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


class SpatialPriorModule(nn.Module):
    """Convolutional stem: image to one map at stride 4 and the pyramid's tokens at strides 8, 16 and 32."""

    def __init__(self, inplanes: int, dim: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *_conv_bn_relu(3, inplanes, stride=2),
            *_conv_bn_relu(inplanes, inplanes, stride=1),
            *_conv_bn_relu(inplanes, inplanes, stride=1),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.conv2 = nn.Sequential(*_conv_bn_relu(inplanes, 2 * inplanes, stride=2))
        self.conv3 = nn.Sequential(*_conv_bn_relu(2 * inplanes, 4 * inplanes, stride=2))
        self.conv4 = nn.Sequential(*_conv_bn_relu(4 * inplanes, 4 * inplanes, stride=2))
        self.fc1 = nn.Conv2d(inplanes, dim, 1)
        self.fc2 = nn.Conv2d(2 * inplanes, dim, 1)
        self.fc3 = nn.Conv2d(4 * inplanes, dim, 1)
        self.fc4 = nn.Conv2d(4 * inplanes, dim, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) to c1 (B, dim, H/4, W/4) and tokens c2, c3, c4 (B, H*W/stride**2, dim)."""
        c1 = self.stem(images)
        c2 = self.conv2(c1)
        c3 = self.conv3(c2)
        c4 = self.conv4(c3)
        tokens = [fc(c).flatten(2).transpose(1, 2) for fc, c in ((self.fc2, c2), (self.fc3, c3), (self.fc4, c4))]
        return self.fc1(c1), tokens[0], tokens[1], tokens[2]


class Injector(nn.Module):
    """Brings the pyramid's detail into the transformer's tokens; `gamma` makes it start as nothing."""

    def __init__(self, dim: int, heads: int, points: int, ratio: float, gamma: float) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim, eps=1e-6)
        self.feat_norm = nn.LayerNorm(dim, eps=1e-6)
        self.attn = MSDeformAttn(dim, levels=3, heads=heads, points=points, ratio=ratio)
        self.gamma = nn.Parameter(torch.full((dim,), gamma))

    def forward(self, x: Tensor, c: Tensor, geometry: Geometry) -> Tensor:
        """X (B, N, dim), c (B, S, dim) to x."""
        attended: Tensor = self.attn(self.query_norm(x), geometry.grid_centres, self.feat_norm(c), geometry.pyramid)
        return x + self.gamma * attended


class DepthwiseConv(nn.Module):
    """One depthwise 3x3 convolution applied to each map of the pyramid by itself."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, tokens: Tensor, geometry: Geometry) -> Tensor:
        """(B, S, dim) to (B, S, dim)."""
        convolved = [self.dwconv(level).flatten(2).transpose(1, 2) for level in geometry.split(tokens)]
        return torch.cat(convolved, dim=1)


class ConvFFN(nn.Module):
    """Feed-forward network with a depthwise convolution between its layers."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.dwconv = DepthwiseConv(hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, c: Tensor, geometry: Geometry) -> Tensor:
        """(B, S, dim) to (B, S, dim)."""
        return linear_of_gelu(self.fc2, self.dwconv(self.fc1(c), geometry))


class Extractor(nn.Module):
    """Takes the transformer's semantics into the pyramid."""

    def __init__(self, dim: int, heads: int, points: int, ratio: float, ffn_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.query_norm = nn.LayerNorm(dim, eps=1e-6)
        self.feat_norm = nn.LayerNorm(dim, eps=1e-6)
        self.attn = MSDeformAttn(dim, levels=1, heads=heads, points=points, ratio=ratio)
        self.ffn = ConvFFN(dim, int(dim * ffn_ratio))
        self.ffn_norm = nn.LayerNorm(dim, eps=1e-6)
        self.drop_path = DropPath(drop_path)

    def forward(self, c: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
        """C (B, S, dim), x (B, N, dim) to c."""
        c = c + self.attn(self.query_norm(c), geometry.pyramid_centres, self.feat_norm(x), (geometry.grid,))
        out: Tensor = c + self.drop_path(self.ffn(self.ffn_norm(c), geometry))
        return out


class InteractionBlock(nn.Module):
    """Injector before a run of transformer blocks, extractor behind it; the last one extracts twice more."""

    def __init__(
        self,
        dim: int,
        heads: int,
        points: int,
        ratio: float,
        ffn_ratio: float,
        drop_path: float,
        injector_gamma: float,
        extra_extractors: int,
    ) -> None:
        super().__init__()
        self.injector = Injector(dim, heads, points, ratio, injector_gamma)
        self.extractor = Extractor(dim, heads, points, ratio, ffn_ratio, drop_path)
        self.extra_extractors = (
            nn.ModuleList(Extractor(dim, heads, points, ratio, ffn_ratio, drop_path) for _ in range(extra_extractors))
            if extra_extractors
            else None
        )

    def extractors(self) -> list[Extractor]:
        """The extractors in the order in which they run."""
        return [self.extractor, *(self.extra_extractors or ())]
