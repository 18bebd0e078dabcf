import json
import re
from collections.abc import Callable

import numpy as np
import pytest

from tasks.execution import StageResult

RunCluster = Callable[..., StageResult]


@pytest.fixture
def scene() -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Twenty classes with four phrases each, about eight directions."""
    random = np.random.default_rng(0)
    directions = np.eye(64)
    return {
        f"class <{n}>": [
            (f"phrase {k} & {n}", tuple(directions[k] + random.normal(scale=0.1, size=64)))
            for k in random.choice(8, size=4, replace=False)
        ]
        for n in range(20)
    }


def test_the_number_of_properties_is_chosen_and_its_curve_kept(run_cluster: RunCluster, scene: dict) -> None:
    artifact = run_cluster(scene, candidates=(3, 8, 30), allow_identical=True).artifact
    choice = json.loads(artifact.file("diagnostics.json").read_text())["choice"]
    assert (choice["candidates"], choice["chosen"]) == ([3, 8, 30], 8)
    assert artifact.file("choice.png").read_bytes().startswith(b"\x89PNG")
    assert "](choice.png)" in artifact.file("report.md").read_text()
    assert "8 properties suit them best" in artifact.file("report.html").read_text()


def test_the_number_of_properties_follows_the_descriptions(run_cluster: RunCluster, scene: dict) -> None:
    artifact = run_cluster(scene, descriptions_per_property=8, allow_identical=True).artifact
    assert artifact.manifest.summary["properties"] == 10


def test_the_page_stands_alone_and_its_links_lead_somewhere(run_cluster: RunCluster, scene: dict) -> None:
    artifact = run_cluster(scene, properties=8, allow_identical=True).artifact
    page = artifact.file("report.html").read_text()
    assert "class &lt;3&gt;" in page and "<3>" not in page
    assert not re.search(r"https?://", page)
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert {"checks", "matrix", "map", "tree", "class-0", "property-7"} <= targets
    assert targets <= set(re.findall(r'id="([^"]+)"', page))
    # Each phrase: a point of the map, a line of its class, a line of its property.
    assert page.count("phrase ") >= 3 * 80
    assert page.count("<circle") == 80
    spans = [
        sum(int(span or 1) for span in re.findall(r'<td(?: colspan="(\d+)"| class="own"[^>]*)?>', row))
        for row in re.findall(r'<tr class="level\d">(.*?)</tr>', page)
    ]
    assert spans == [20] * 8


def test_the_pictures_are_the_same_in_every_run(run_cluster: RunCluster, scene: dict) -> None:
    first = run_cluster(scene, properties=8, allow_identical=True).artifact.path
    pages = [(first / name).read_bytes() for name in ("report.md", "phrases.png", "class_tree.png")]
    second = run_cluster(scene, properties=8, allow_identical=True, force=True).artifact.path
    assert pages == [(second / name).read_bytes() for name in ("report.md", "phrases.png", "class_tree.png")]
