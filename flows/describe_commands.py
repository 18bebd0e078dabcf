"""`prolab estimate`: what the stage describe would ask and cost, before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from artifacts import Store
from flows.artifact_commands import StoreOption
from flows.output import print_table


def estimate(
    experiment: Annotated[Path, typer.Argument(help="The experiment's YAML file.", metavar="EXPERIMENT")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, for instance describe.attempts=1."),
    ] = None,
    store: StoreOption = Path("store"),
) -> None:
    """Say how many questions the language model would be asked about the classes, and what that costs; asks nothing."""
    from flows.experiment import load_experiment
    from tasks.describe import STAGE, DescribeParams
    from tasks.describe.budget import Usage
    from tasks.describe.estimate import estimate as estimate_describe

    cache = Store(store).cache(STAGE.name)
    estimates = {
        step.name: estimate_describe(step.params, cache)
        for step in load_experiment(experiment, overrides or ()).steps()
        if isinstance(step.params, DescribeParams)
    }

    def row(name: str, usage: Usage, cost: float | None) -> tuple[str, ...]:
        tokens = (f"{usage.prompt_tokens:,}", f"{usage.completion_tokens:,}")
        return (name, f"{usage.requests:,}", *tokens, "-" if cost is None else f"{cost:.4g}")

    for step, figures in estimates.items():
        print(f"{step}: {figures.questions} questions, {figures.kept} of them answered in the cache")
        print_table(
            ("to ask", "requests", "prompt tokens", "answer tokens", "cost"),
            [row("likely", figures.likely, figures.likely_cost), row("at most", figures.most, figures.most_cost)],
        )
