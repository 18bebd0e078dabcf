"""`prolab import`: makes artifacts of what others released."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from artifacts import Store
from flows.artifact_commands import StoreOption
from flows.output import format_seconds, make_progress, print_table, show_log
from tasks.errors import InputError

app = typer.Typer(help="Make artifacts of released files.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def import_() -> None:
    """Make artifacts of released files."""


@app.command()
def checkpoint(
    file: Annotated[Path, typer.Argument(help="The weights: a file of mmcv, {meta, state_dict, optimizer}.")],
    bank: Annotated[
        Path, typer.Option(help="The bank of properties, or the folder that holds it (then name the data set).")
    ],
    model: Annotated[Path, typer.Option(help="The network's config, for instance configs/models/X.py.")],
    dataset: Annotated[
        Path | None, typer.Option(help="The data set's config: names and colours of the classes.")
    ] = None,
    properties: Annotated[
        Path | None, typer.Option(help="JSON of property names and their members; without it they go by their classes.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Name the version, so that checkpoint:NAME means it.")] = None,
    store: StoreOption = Path("store"),
) -> None:
    """Make a checkpoint of a released model: weights, bank of properties and configs become one."""
    from tasks.execution import run_stage
    from tasks.import_checkpoint import STAGE, ImportParams

    show_log()
    params = ImportParams(
        checkpoint=file, bank=_bank_file(bank, dataset), model=model, dataset=dataset, properties=properties
    )
    opened = Store(store)
    result = run_stage(STAGE, params, {}, opened, make_progress())
    artifact = result.artifact
    if tag is not None:
        opened.tag(artifact, tag)
    rows = {
        "artifact": artifact.reference if tag is None else f"{artifact.reference} (checkpoint:{tag})",
        "state": "Cached" if result.hit else "Built",
        "path": artifact.path,
        "took": format_seconds(result.seconds),
        "bank": params.bank,
        **artifact.manifest.summary,
    }
    print_table(("what", "value"), [(name.replace("_", " "), str(value)) for name, value in rows.items()])
    print(f"use it: prolab run EXPERIMENT.yaml --pin train={tag or artifact.version}")


def _bank_file(bank: Path, dataset: Path | None) -> Path:
    """The bank's file; in a folder, the one of the data set whose config is named."""
    if not bank.is_dir():
        return bank
    if dataset is None:
        raise InputError(f"--bank {bank} is a folder: name the file, or the data set's config with --dataset")
    from prolab_model.bank import find_bank

    try:
        return find_bank(bank, dataset.stem)
    except ValueError as error:
        raise InputError(f"--bank {error}") from error
