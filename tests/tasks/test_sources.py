"""A stage's declared sources cover the code it runs, so that an edited helper is never a stale hit."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tasks import cluster, describe, embed, evaluate, import_checkpoint, import_labels, index, train
from tasks.extend_labels import extend_stage
from tasks.stage import Stage

STAGES = [
    *(module.STAGE for module in (index, describe, embed, cluster, train, evaluate, import_checkpoint, import_labels)),
    import_labels.DESCRIPTIONS_STAGE,
    extend_stage(sources=1),
]

# These decide how a stage is run, checked and reported, and not what it makes.
MACHINERY = {
    "tasks.device",
    "tasks.errors",
    "tasks.form",
    "tasks.kinds",
    "tasks.markdown",
    "tasks.page",
    "tasks.progress",
    "tasks.sources",
    "tasks.stage",
}


def imported_modules(stage: Stage) -> set[str]:
    """Our modules that are loaded once the stage's function is, in a fresh interpreter."""
    module = stage.function.partition(":")[0]
    listing = "[name for name, module in sys.modules.items() if not hasattr(module, '__path__')]"
    script = f"import {module}, sys, json; print(json.dumps({listing}))"
    output = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    rooms = ("ops", "prolab_model", "tasks")
    return {name for name in json.loads(output.splitlines()[-1]) if name.partition(".")[0] in rooms}


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_sources_cover_what_the_stage_imports(stage: Stage) -> None:
    reports = {f"tasks.{stage.name}.report"}
    uncovered = {
        name
        for name in imported_modules(stage) - MACHINERY - reports
        if not any(name == source or name.startswith(f"{source}.") for source in stage.sources)
    }
    assert uncovered == set()
