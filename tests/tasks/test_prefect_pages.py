"""Pictures within the text of a page."""

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tasks.prefect_pages import page_name, with_pictures


def pictures_in(text: str) -> list[npt.NDArray[np.uint8]]:
    encoded = [base64.b64decode(data) for data in re.findall(r"\(data:image/(?:png|jpeg);base64,([^)]*)\)", text)]
    return [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in encoded]


def test_a_plot_stays_what_it_is(tmp_path: Path) -> None:
    plot = np.full((300, 900, 3), 255, np.uint8)
    plot[100:200, 300:600] = (200, 120, 40)
    cv2.imwrite(str(tmp_path / "plot.png"), plot)
    text = with_pictures("# Title\n\n![A plot](plot.png)\n[a link](other.png)", tmp_path)
    (shown,) = pictures_in(text)
    assert (shown == plot).all()
    assert text.startswith("# Title\n\n![A plot](data:image/png;base64,")
    assert text.endswith("\n[a link](other.png)")


def test_pictures_that_the_dashboard_could_not_show_become_smaller(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1600, 2400, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.jpg"), noise)
    text = with_pictures("![One](noise.jpg)\n![Two](noise.jpg)", tmp_path)
    assert len(text) < 1_700_000
    for shown in pictures_in(text):
        height, width = shown.shape[:2]
        assert 300 < width <= 1200
        assert width / height == pytest.approx(1.5, abs=0.01)


def test_names_of_pages_are_those_that_prefect_takes() -> None:
    assert page_name("CamVid.embed_2") == "camvid-embed-2"
