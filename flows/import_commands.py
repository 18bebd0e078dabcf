"""`prolab import`: makes artifacts of what others released."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.artifact_commands import StoreOption, TagOption
from flows.output import format_seconds, make_progress, print_table, show_log
from flows.stores import make_store
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
    tag: TagOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Make a checkpoint of a released model: weights, bank of properties and configs become one."""
    from tasks.execution import run_stage
    from tasks.import_checkpoint import STAGE, ImportParams

    show_log()
    params = ImportParams(
        checkpoint=file, bank=_bank_file(bank, dataset), model=model, dataset=dataset, properties=properties
    )
    opened = make_store(store)
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


@app.command()
def labels(
    file: Annotated[
        Path,
        typer.Argument(
            help='FILE.json of property name -> list of "class: description", or FILE.pth with a bank.',
            metavar="FILE",
            show_default=False,
        ),
    ],
    encoder: Annotated[
        str, typer.Option(help="The sentence encoder that the properties were made with.")
    ] = "BAAI/bge-base-en-v1.5",
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="How it was used, where that is not the paper's way; the keys are those of an experiment's section "
            "embed: embed.pooling=cls, embed.template='a {category}, which has {text}', embed.lower_case=false, "
            "embed.normalize=false, embed.precision=bfloat16. And where it runs now: embed.device=cpu.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(help="The data set's config: its classes in their order; without it they are in the file's."),
    ] = None,
    tag: TagOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Make a label space of released properties or of a bank; a centre is the mean of its members, or the bank's."""
    from flows.import_settings import read_embed_params
    from flows.labels_commands import print_made
    from prolab_model.config_file import ConfigError
    from prolab_model.dataset_config import read_dataset_config
    from tasks import embed
    from tasks.execution import run_stage
    from tasks.import_labels import DESCRIPTIONS_STAGE, STAGE, ImportDescriptionsParams, ImportLabelsParams

    show_log()
    params = read_embed_params(encoder, overrides or ())
    try:
        classes = None if dataset is None else read_dataset_config(dataset).classes
    except ConfigError as error:
        raise InputError(f"--dataset: {error}") from error
    opened, progress = make_store(store), make_progress()
    described = run_stage(
        DESCRIPTIONS_STAGE, ImportDescriptionsParams(file=file, classes=classes), {}, opened, progress
    )
    embeddings = run_stage(embed.STAGE, params, {"descriptions": described.artifact}, opened, progress)
    inputs = {"embeddings": embeddings.artifact}
    result = run_stage(STAGE, ImportLabelsParams(file=file), inputs, opened, progress)
    print_made(opened, result.artifact, result.hit, tag)


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
