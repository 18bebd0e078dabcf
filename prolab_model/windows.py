"""Sliding windows: where they lie, and the labels of an image from maps of its windows (spec 2.5).

The maps of a window are kept as the network gives them, at a quarter of its size. What is wanted of
the whole image is made from them a strip of rows at a time: upsampled, averaged where windows
overlap, resized to the wanted size, and reduced, so that no map of the image's size exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prolab_model.resampling import Size, resized_rows, source_rows

STRIP = 2**22  # numbers in a strip


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """Row behind the last one."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """Column behind the last one."""
        return self.left + self.width

    def mirrored(self, width: int) -> Window:
        """Where it lies in the mirror image of an image that is `width` wide."""
        return replace(self, left=width - self.right)

    def crop(self, images: Tensor) -> Tensor:
        """What images (B, C, H, W) show in the window."""
        return images[..., self.top : self.bottom, self.left : self.right]


def place_windows(size: Size, crop: Size, stride: Size) -> list[Window]:
    """Windows of `crop` that cover an image, `stride` apart; the last ones are moved back into it.

    Windows are as high and wide as the image where that is less than the crop.
    """
    height, width = (min(side, largest) for side, largest in zip(size, crop, strict=True))
    tops, lefts = (
        _starts(side, extent, step) for side, extent, step in zip(size, (height, width), stride, strict=True)
    )
    return [Window(top, left, height, width) for top in tops for left in lefts]


def _starts(side: int, extent: int, step: int) -> list[int]:
    count = -(-(side - extent) // step) + 1
    return [min(index * step, side - extent) for index in range(count)]


class WindowMaps:
    """Maps of an image, of which the parts in its windows are known.

    Args:
        size: (H, W) of the image.
        windows: all of one size; together they cover the image.
        maps: (C, h, w) of each window, at any resolution.
    """

    def __init__(self, size: Size, windows: Sequence[Window], maps: Sequence[Tensor]) -> None:
        self.size = size
        self.windows = windows
        self.maps = [each.permute(1, 2, 0)[None].contiguous() for each in maps]  # (1, h, w, C)
        device, dtype = maps[0].device, maps[0].dtype
        self.row_counts = torch.zeros(size[0], 1, 1, device=device, dtype=dtype)
        self.column_counts = torch.zeros(1, size[1], 1, device=device, dtype=dtype)
        for top in {window.top for window in windows}:
            self.row_counts[top : top + windows[0].height] += 1
        for left in {window.left for window in windows}:
            self.column_counts[:, left : left + windows[0].width] += 1

    def labels(self, size: Size) -> Tensor:
        """Channel with the largest value at every pixel of the maps resized to `size` (H, W): int64."""
        return torch.cat([strip.argmax(dim=-1) for strip in self.strips(size)])

    def resized(self, size: Size) -> Tensor:
        """The maps (C, H, W), resized to `size`; as they are where the image is one window of that resolution."""
        if len(self.windows) == 1 and self.maps[0].shape[1:3] == size:
            return self.maps[0][0].permute(2, 0, 1)
        return torch.cat(list(self.strips(size))).permute(2, 0, 1)

    def strips(self, size: Size) -> Iterator[Tensor]:
        """Strips (rows, W, C) of the maps resized to `size`, from top to bottom."""
        height = size[0]
        rows = max(1, STRIP // (self.size[1] * self.maps[0].shape[-1]))
        for start in range(0, height, rows):
            stop = min(height, start + rows)
            if size == self.size:
                yield self._rows(start, stop)
                continue
            first, last = source_rows(start, stop, self.size[0], height)
            strip = resized_rows(self._rows(first, last)[None], first, start, stop, size, self.size[0])
            yield strip[0]

    def _rows(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of the maps at the image's size: (rows, W, C)."""
        rows = self.maps[0].new_zeros(stop - start, self.size[1], self.maps[0].shape[-1])
        for window, maps in zip(self.windows, self.maps, strict=True):
            top, bottom = max(start, window.top), min(stop, window.bottom)
            if top >= bottom:
                continue
            within = (top - window.top, bottom - window.top)
            first, last = source_rows(*within, maps.shape[1], window.height)
            part = resized_rows(maps[:, first:last], first, *within, (window.height, window.width), maps.shape[1])
            rows[top - start : bottom - start, window.left : window.right] += part[0]
        if len(self.windows) > 1:
            rows /= self.row_counts[start:stop] * self.column_counts
        return rows
