"""Runs the stage with settings for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifacts import Artifact, Store
from tasks import train
from tasks.execution import run_stage
from tasks.progress import Progress, SilentProgress
from tasks.train import TrainParams

SETTINGS = {"max_iters": 12, "batch_size": 2, "crop_size": 64, "workers": 0, "learning_rate": 2e-3, "save_every": 4}


class Killed(BaseException):
    """Ends a stage as a signal would: no handler of ordinary errors sees it."""


class KillingProgress(SilentProgress):
    """Ends the work after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def bar(self, label: str, total: int, unit: str = "it", report: Path | None = None) -> Any:
        progress = super().bar(label, total, unit, report)
        outer = self

        class Bar:
            def __enter__(self) -> Bar:
                progress.__enter__()
                return self

            def __exit__(self, *error: Any) -> None:
                progress.__exit__(*error)

            def advance(self, count: int = 1, **figures: float | str) -> None:
                outer.steps -= count
                if outer.steps < 0:
                    raise Killed

        return Bar()


def run(
    store: Store,
    model: Path,
    dataset: Artifact,
    label_space: Artifact,
    progress: Progress | None = None,
    **changed: Any,
) -> Artifact:
    params = TrainParams.model_validate({"model": model, **SETTINGS, **changed})
    inputs = {"dataset": dataset, "label_space": label_space}
    return run_stage(train.STAGE, params, inputs, store, progress or SilentProgress()).artifact


def curve_of(checkpoint: Artifact, name: str) -> list[float]:
    """One figure of the learning curve."""
    curve = checkpoint.table("metrics.parquet").to_pandas()
    values: list[float] = curve[curve["name"] == name]["value"].to_list()
    return values
