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
    from tasks.describe import STAGE
    from tasks.describe.budget import Usage
    from tasks.describe.estimate import estimate as estimate_describe

    params = load_experiment(experiment, overrides or ()).describe
    figures = estimate_describe(params, Store(store).cache(STAGE.name))

    def row(name: str, usage: Usage) -> tuple[str, ...]:
        cost = figures.cost(usage)
        tokens = (f"{usage.prompt_tokens:,}", f"{usage.completion_tokens:,}")
        return (name, f"{usage.requests:,}", *tokens, "-" if cost is None else f"{cost:.4g}")

    print(f"{figures.questions} questions, {figures.kept} of them answered in the cache")
    print_table(
        ("to ask", "requests", "prompt tokens", "answer tokens", "cost"),
        [row("likely", figures.likely), row("at most", figures.most)],
    )
