"""A stage's declared sources cover the code it runs, so that an edited helper is never a stale hit."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tasks import apply_labels, cluster, describe, embed, evaluate, import_checkpoint, import_labels, index, train
from tasks.extend_labels import extend_stage
from tasks.stage import Stage

STAGES = [
    *(
        module.STAGE
        for module in (apply_labels, index, describe, embed, cluster, train, evaluate, import_checkpoint, import_labels)
    ),
    import_labels.DESCRIPTIONS_STAGE,
    extend_stage(sources=1),
]

# These decide how a stage is run, checked and reported, and not what it makes.
MACHINERY = {
    "prolab_model.whole_files",
    "tasks.device",
    "tasks.errors",
    "tasks.form",
    "tasks.kinds",
    "tasks.markdown",
    "tasks.page",
    "tasks.progress",
    "tasks.sources",
    "tasks.stage",
    "tasks.text",
}


# Every module in an interpreter that has none of ours yet; what others wrote is imported once for all.
IMPORTS = """
import json, os, sys
import matplotlib.pyplot, pandas, pyarrow.parquet, sklearn.cluster, torch
for module in sys.argv[1:]:
    if os.fork() == 0:
        __import__(module)
        loaded = [name for name, module in sys.modules.items() if not hasattr(module, "__path__")]
        print(json.dumps([module, loaded]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, module
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Our modules that are loaded once the module of a stage's function is."""
    command = [sys.executable, "-c", IMPORTS, *{_module(stage) for stage in STAGES}]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rooms = ("ops", "prolab_model", "tasks")
    return {
        module: {name for name in loaded if name.partition(".")[0] in rooms}
        for module, loaded in map(json.loads, output.splitlines())
    }


def _module(stage: Stage) -> str:
    return stage.function.partition(":")[0]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_sources_cover_what_the_stage_imports(stage: Stage, imported: dict[str, set[str]]) -> None:
    reports = {f"tasks.{stage.name}.report"}
    uncovered = {
        name
        for name in imported[_module(stage)] - MACHINERY - reports
        if not any(name == source or name.startswith(f"{source}.") for source in stage.sources)
    }
    assert uncovered == set()
