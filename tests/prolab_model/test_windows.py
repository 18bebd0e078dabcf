from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from prolab_model import windows
from prolab_model.windows import Window, WindowMaps, place_windows


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((512, 512), [(0, 0)]),
        ((512, 683), [(0, 0), (0, 171)]),
        ((600, 853), [(0, 0), (0, 341), (88, 0), (88, 341)]),
        ((300, 900), [(0, 0), (0, 341), (0, 388)]),
    ],
    ids=["one", "two", "four", "lower than the crop"],
)
def test_windows_of_the_released_configs(size: tuple[int, int], expected: list[tuple[int, int]]) -> None:
    placed = place_windows(size, (512, 512), (341, 341))
    assert [(window.top, window.left) for window in placed] == expected
    assert {(window.height, window.width) for window in placed} == {(min(size[0], 512), 512)}


def averaged(size: tuple[int, int], placed: list[Window], maps: list[Tensor]) -> Tensor:
    """The straightforward order: every window's maps at full size, summed and divided."""
    total = torch.zeros(maps[0].shape[0], *size, dtype=torch.float64)
    count = torch.zeros(size, dtype=torch.float64)
    for window, each in zip(placed, maps, strict=True):
        full = F.interpolate(each[None], size=(window.height, window.width), mode="bilinear", align_corners=False)
        total[:, window.top : window.bottom, window.left : window.right] += full[0]
        count[window.top : window.bottom, window.left : window.right] += 1
    assert count.min() >= 1
    return total / count


@pytest.mark.parametrize("wanted", [(70, 90), (96, 128), (31, 45)], ids=["as it is", "larger", "smaller"])
@pytest.mark.parametrize("crop", [(32, 48), (100, 100)], ids=["overlapping", "whole"])
def test_strips_equal_maps_at_full_size(
    monkeypatch: pytest.MonkeyPatch, wanted: tuple[int, int], crop: tuple[int, int]
) -> None:
    monkeypatch.setattr(windows, "STRIP", 3000)
    torch.manual_seed(0)
    size = (70, 90)
    placed = place_windows(size, crop, (21, 30))
    maps = [torch.randn(5, window.height // 4, window.width // 4, dtype=torch.float64) for window in placed]
    full = averaged(size, placed, maps)
    expected = F.interpolate(full[None], size=wanted, mode="bilinear", align_corners=False)[0]
    together = WindowMaps(size, placed, maps)
    torch.testing.assert_close(together.resized(wanted), expected)
    assert torch.equal(together.labels(wanted), expected.argmax(dim=0))
