"""Writes a label space in the formats of others: the original's bank and properties JSON, and a table for people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Literal

import torch

from prolab_model.bank import Bank, write_bank
from prolab_model.whole_files import write_whole
from tasks.labels.described import DescribedSpace

Format = Literal["bank", "json", "csv"]

_COLUMNS = ("dataset", "class", "description", "property_id", "property", "distance")


def to_bank(space: DescribedSpace, dataset: str | None = None) -> Bank:
    """Centres, class matrix and descriptions of one data set (spec section 1.7).

    Raises:
        InputError: there are several data sets and none is named, or there is none of this name.
    """
    chosen = space.select(dataset)
    return Bank(
        centres=torch.from_numpy(space.properties.centres),
        class_matrix=torch.from_numpy(chosen.matrices[0].matrix).float(),
        descriptions={owner.name: tuple(item.text for item in chosen.of_class(owner)) for owner in chosen.classes},
        properties=space.properties.names,
    )


def to_properties(space: DescribedSpace, dataset: str | None = None) -> dict[str, list[str]]:
    """Name of each property -> its members as "class: description", as released for ADE20K and COCO-Stuff.

    Properties that no class of the data set has are left out.

    Raises:
        InputError: there are several data sets and none is named, or there is none of this name.
    """
    chosen = space.select(dataset)
    listed = {
        name: [f"{item.owner.name}: {item.text}" for item in chosen.members(number)]
        for number, name in enumerate(space.properties.names)
    }
    return {name: members for name, members in listed.items() if members}


def export(space: DescribedSpace, path: Path, format_: Format, encoder: str, dataset: str | None = None) -> None:
    """Write a label space to `path`, which is replaced as a whole.

    Args:
        space: what to write; a table holds all its data sets where none is named.
        path: the file.
        format_: `bank` as the original reads it, `json` of properties and members, or `csv` with a row for each member.
        encoder: name of the sentence encoder, for the key in a bank.
        dataset: of which data set; need not be named where there is only one.

    Raises:
        InputError: there are several data sets and none is named, or there is none of this name.
    """
    if format_ == "bank":
        write_bank(path, to_bank(space, dataset), encoder=encoder)
    elif format_ == "json":
        properties = to_properties(space, dataset)
        write_whole(path, json.dumps(properties, indent=4, ensure_ascii=False).encode())
    else:
        chosen = space if dataset is None else space.select(dataset)
        write_whole(path, _as_csv(chosen).encode())


def _as_csv(space: DescribedSpace) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for item in space.descriptions:
        name = space.properties.names[item.property_id]
        writer.writerow(
            (item.owner.dataset, item.owner.name, item.text, item.property_id, name, f"{item.distance:.6g}")
        )
    return file.getvalue()
