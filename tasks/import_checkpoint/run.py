"""Makes a `checkpoint` artifact of released files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import JsonValue

from prolab_model.bank import Bank, match_names, read_bank, read_properties
from prolab_model.checkpoint import ModelCard, save_model
from prolab_model.dataset_config import DatasetConfig, default_palette
from prolab_model.network_config import sized_network
from prolab_model.released import build_released, read_released
from tasks.errors import InputError
from tasks.import_checkpoint import ImportParams
from tasks.kinds import CHECKPOINT
from tasks.markdown import table
from tasks.stage import StageContext

_SHOWN_CLASSES = 3
_NOTES = ("iter", "epoch", "time", "mmcv_version", "mmseg_version")


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Check that checkpoint, bank and configs belong together, and write them as one model.

    Raises:
        InputError: a file holds something else, or they do not belong together.
    """
    params: ImportParams = context.params
    network = params.network()
    try:
        bank = read_bank(params.bank)
        weights = read_released(params.checkpoint)
        dataset = params.dataset_config()
        classes = _class_names(bank, dataset)
        names = _known_names(params, bank)
        segmentor = build_released(network["model"], weights.state, bank, source=str(params.checkpoint))
    except ValueError as error:
        raise InputError(str(error)) from error
    card = ModelCard(
        network=sized_network(
            network["model"],
            properties=len(bank.centres),
            classes=len(classes),
            width=bank.centres.shape[1],
        ),
        classes=classes,
        palette=default_palette(len(classes)) if dataset is None else dataset.palette,
        properties=tuple(name or described(bank, number, classes) for number, name in enumerate(names)),
        test_scale=network["test_scale"],
        base_size=network["base_size"],
    )
    save_model(context.output, segmentor, card)
    # How it was trained is not known.
    pq.write_table(CHECKPOINT.tables["metrics.parquet"].empty_table(), context.output / "metrics.parquet")
    summary: dict[str, JsonValue] = {
        "classes": len(classes),
        "properties": len(names),
        "named_properties": sum(name is not None for name in names),
        "tensors": len(weights.state),
        "parameters": sum(parameter.numel() for parameter in segmentor.parameters()),
        **_notes(weights.meta),
    }
    _write_report(context.output / "report.md", params, summary)
    return summary


def _class_names(bank: Bank, dataset: DatasetConfig | None) -> tuple[str, ...]:
    """The classes by the data set's names, or else the bank's; they must agree, but for spaces around them."""
    if dataset is None:
        if bank.classes is None:
            raise InputError("the bank names no classes: name the data set's config with --dataset")
        return bank.classes
    if len(dataset.classes) != len(bank.class_matrix):
        raise InputError(f"the bank is of {len(bank.class_matrix)} classes, the data set has {len(dataset.classes)}")
    for number, (ours, theirs) in enumerate(zip(dataset.classes, bank.classes or dataset.classes, strict=True)):
        if ours.strip() != theirs.strip():
            raise InputError(f"class {number} is {theirs!r} in the bank and {ours!r} in the data set")
    return dataset.classes


def _known_names(params: ImportParams, bank: Bank) -> Sequence[str | None]:
    if params.properties is None:
        return [None] * len(bank.centres)
    try:
        return match_names(bank, read_properties(params.properties))
    except ValueError as error:
        raise InputError(f"--properties {params.properties}: {error}") from error


def described(bank: Bank, number: int, classes: Sequence[str]) -> str:
    """Name of a property that nobody named, by the first classes that own it: `property 17 (wall, floor, ...)`."""
    owners = [classes[index].strip() for index in bank.class_matrix[:, number].nonzero().flatten().tolist()]
    shown = [*owners[:_SHOWN_CLASSES], *(["..."] if len(owners) > _SHOWN_CLASSES else [])]
    return f"property {number} ({', '.join(shown)})"


def _notes(meta: Mapping[str, Any]) -> dict[str, JsonValue]:
    """What the file says of its own making, as far as it is known how to read it."""
    return {name: meta[name] for name in _NOTES if isinstance(meta.get(name), str | int)}


def _write_report(path: Path, params: ImportParams, summary: Mapping[str, JsonValue]) -> None:
    """Short markdown for the dashboard."""
    files = {
        "checkpoint": params.checkpoint,
        "bank": params.bank,
        "network": params.model,
        "data set": params.dataset,
        "names of properties": params.properties,
    }
    rows = {**{what: file.name for what, file in files.items() if file is not None}, **summary}
    path.write_text(
        f"# Imported {params.checkpoint.name}\n\n{table(('what', 'value'), list(rows.items()))}\n", encoding="utf-8"
    )
