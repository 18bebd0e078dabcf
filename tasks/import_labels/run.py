"""The stages import_descriptions and import_labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue
from scipy.spatial.distance import cdist

from prolab_model.bank import Bank, members, read_bank, read_properties
from tasks.cluster.naming import Naming, name_by_medoids
from tasks.cluster.phrases import Phrases, read_phrases
from tasks.cluster.properties import Clusters, class_matrix
from tasks.cluster.report import Origin
from tasks.cluster.write import write_label_space
from tasks.describe.quality import assess
from tasks.errors import InputError
from tasks.import_labels import ImportDescriptionsParams, ImportLabelsParams
from tasks.kinds import DESCRIPTIONS
from tasks.markdown import table
from tasks.stage import StageContext


def run_descriptions(context: StageContext) -> Mapping[str, JsonValue]:
    """Write what the file says of every class.

    Raises:
        InputError: the file holds something else, or describes other classes.
    """
    params: ImportDescriptionsParams = context.params
    described = _read_descriptions(params.file)
    classes = tuple(described) if params.classes is None else params.classes
    if set(classes) != set(described):
        missing, further = sorted(set(classes) - set(described)), sorted(set(described) - set(classes))
        raise InputError(
            f"{params.file} does not describe the data set's classes: it lacks {', '.join(missing) or 'none'}, "
            f"and has besides {', '.join(further) or 'none'}"
        )
    quality = assess({name: described[name] for name in classes}, dropped={})
    rows: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for class_id, name in enumerate(classes):
        rows["quality.parquet"].append({"class_id": class_id, "class_name": name, **asdict(quality[name])})
        rows["descriptions.parquet"] += [
            {"class_id": class_id, "class_name": name, "position": position, "text": text}
            for position, text in enumerate(described[name])
        ]
    for name, schema in DESCRIPTIONS.tables.items():
        pq.write_table(pa.Table.from_pylist(rows[name], schema), context.output / name)
    summary: dict[str, JsonValue] = {"classes": len(classes), "descriptions": sum(map(len, described.values()))}
    (context.output / "report.md").write_text(
        f"# Descriptions from {params.file.name}\n\n{table(('what', 'value'), list(summary.items()))}", encoding="utf-8"
    )
    return summary


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Write the label space that the file describes.

    Raises:
        InputError: the embeddings are not of the bank's encoder.
    """
    params: ImportLabelsParams = context.params
    phrases = read_phrases(context.inputs)
    if params.file.suffix == ".json":
        properties = _properties(params.file)
        clusters, naming = _from_properties(properties, phrases), Naming(list(properties), params.file.name)
    else:
        clusters = _from_bank(_bank(params.file), phrases, params.file)
        naming = name_by_medoids(clusters, phrases.texts)
    origin = Origin(f"import of {params.file.name}", context.inputs, {"file": params.file.name})
    return write_label_space(context.output, phrases, clusters, naming, origin)


def _from_properties(properties: Mapping[str, Sequence[str]], phrases: Phrases) -> Clusters:
    """Clusters whose centres are the means of the members' vectors."""
    names = list(properties)
    number = {name: index for index, name in enumerate(names)}
    property_of = {(class_name, text): number[name] for name, class_name, text in members(properties)}
    owners = [phrases.classes[class_id] for class_id in phrases.class_ids]
    assigned = np.array([property_of[key] for key in zip(owners, phrases.texts, strict=True)])
    sums = np.zeros((len(names), phrases.vectors.shape[1]))
    np.add.at(sums, assigned, phrases.vectors)
    centres = (sums / np.bincount(assigned, minlength=len(names))[:, None]).astype(np.float32)
    return Clusters(centres, assigned, np.linalg.norm(phrases.vectors - centres[assigned], axis=1))


def _from_bank(bank: Bank, phrases: Phrases, path: Path) -> Clusters:
    """The bank's clusters; a phrase is a member of the nearest one that its class has."""
    centres = bank.centres.numpy()
    if centres.shape[1] != phrases.vectors.shape[1]:
        raise InputError(
            f"{path}: its centres are {centres.shape[1]} wide, the encoder's vectors {phrases.vectors.shape[1]}: "
            "name the encoder that the bank was made with"
        )
    matrix = bank.class_matrix.numpy().astype(bool)
    distances = np.where(matrix[phrases.class_ids], cdist(phrases.vectors, centres), np.inf)  # (M, K)
    nearest = distances.argmin(axis=1)
    clusters = Clusters(centres, nearest, distances.min(axis=1).astype(np.float32))
    missing = np.argwhere(class_matrix(phrases.class_ids, clusters) != matrix)
    if len(missing):
        owners = ", ".join(dict.fromkeys(repr(phrases.classes[class_id]) for class_id, _ in missing))
        raise InputError(
            f"{path}: {len(missing)} properties of classes have no description of the class among those that lie "
            f"nearest to them: of {owners}. The bank was made with another encoder, or with other settings of it "
            "(embed.pooling, embed.template, embed.lower_case, embed.normalize)"
        )
    return clusters


def _read_descriptions(path: Path) -> dict[str, list[str]]:
    """What the file says of each class, in the order of the file."""
    if path.suffix == ".pth":
        descriptions = _bank(path).descriptions
        if descriptions is None:
            raise InputError(f"{path}: the bank has no descriptions, so that no vectors can be made for its classes")
        return {name: list(texts) for name, texts in descriptions.items()}
    described: defaultdict[str, list[str]] = defaultdict(list)
    for name, class_name, text in _members(path):
        if text in described[class_name]:
            raise InputError(f"{path}: {class_name}: {text!r} is a member twice; in {name!r} for the second time")
        described[class_name].append(text)
    return dict(described)


def _members(path: Path) -> list[tuple[str, str, str]]:
    try:
        return list(members(_properties(path)))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _properties(path: Path) -> dict[str, list[str]]:
    try:
        return read_properties(path)
    except ValueError as error:
        raise InputError(str(error)) from error


def _bank(path: Path) -> Bank:
    try:
        return read_bank(path)
    except ValueError as error:
        raise InputError(str(error)) from error
