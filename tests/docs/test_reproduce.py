"""The table of the paper's results says what the headers of the configs say."""

from __future__ import annotations

import re
from itertools import takewhile

import pytest

from tests.docs.pages import REPOSITORY, SITE

PAGE = (SITE.parents[1] / "reproduce.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| .*\| `(\w+)\.py` \| ([\d.]+) \| (\S+) \| \d+ \| `(\S+)` \|$", PAGE, re.MULTILINE)


def header(config: str) -> str:
    lines = (REPOSITORY / "configs" / "models" / f"{config}.py").read_text(encoding="utf-8").splitlines()
    return "\n".join(takewhile(lambda line: line.startswith("#"), lines))


def test_every_network_of_the_paper_has_its_row() -> None:
    configs = {path.stem for path in REPOSITORY.glob("configs/models/*.py")}
    trained_by_a_recipe = {
        name for name in configs if "reached" in header(name).lower() and "in the paper" in header(name)
    }
    assert {row[0] for row in ROWS} == {name for name in trained_by_a_recipe if not name.endswith("one_hot")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_figures_and_weights_are_those_of_the_header(row: tuple[str, str, str, str]) -> None:
    config, reached, one_hot, weights = row
    said = header(config)
    assert re.search(rf"\b{reached}\b", said)
    assert one_hot == "-" or re.search(rf"\b{one_hot}\b", said)
    assert weights in said or "what the network for Cityscapes needs" in said
