"""The two reports on a label space: `report.html` to open from disk, and `report.md` for the dashboard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import JsonValue

from artifacts import Artifact
from tasks.cluster.checks import Check
from tasks.cluster.diagnostics import Diagnostics
from tasks.cluster.layout import Layout
from tasks.cluster.naming import Naming
from tasks.cluster.phrases import Phrases
from tasks.cluster.pictures import CURVE, MAP, MATRIX, OWNERS, TREE, level
from tasks.cluster.properties import Clusters
from tasks.markdown import items, table
from tasks.page import data_uri, page_environment

_MAP_SIZE = 1000


@dataclass(frozen=True)
class Origin:
    """Where a label space comes from: how it was made, of which artifacts, with which parameters."""

    method: str
    inputs: Mapping[str, Artifact]
    parameters: Mapping[str, JsonValue]


@dataclass(frozen=True)
class NamedSpace:
    """All that the reports tell of; `matrix` is (N, K)."""

    origin: Origin
    phrases: Phrases
    clusters: Clusters
    naming: Naming
    matrix: npt.NDArray[np.bool_]
    diagnostics: Diagnostics
    checks: Sequence[Check]
    layout: Layout

    @property
    def names(self) -> Sequence[str]:
        """K."""
        return self.naming.names


def write_reports(folder: Path, space: NamedSpace) -> None:
    """Write `report.html` and `report.md`; the pictures that the latter refers to lie in the folder."""
    template = page_environment("tasks.cluster").get_template("report.html")
    (folder / "report.html").write_text(template.render(_values(space, folder)), encoding="utf-8")
    (folder / "report.md").write_text(_markdown(space), encoding="utf-8")


def _values(space: NamedSpace, folder: Path) -> dict[str, Any]:
    counts = space.matrix.sum(axis=1)
    return {
        "datasets": [name for name in dict.fromkeys(space.phrases.datasets) if name],
        "algorithm": space.origin.method,
        "phrases": len(space.phrases.texts),
        "naming": _naming(space.naming),
        "per_class": {"mean": float(counts.mean()), "min": int(counts.min()), "max": int(counts.max())},
        "shared": float((space.matrix.sum(axis=0) > 1).mean()),
        "diagnostics": space.diagnostics,
        "checks": space.checks,
        "classes": list(_classes(space)),
        "properties": list(_properties(space)),
        "class_order": space.layout.class_order.tolist(),
        "matrix_rows": list(_matrix_rows(space)),
        "owners": [label for _, label, _ in OWNERS],
        "map_size": _MAP_SIZE,
        "map_points": list(_map_points(space)),
        "branches": [branch.round(4).tolist() for branch in space.layout.branches],
        "curve": data_uri("png", (folder / CURVE).read_bytes()) if space.diagnostics.choice else None,
        "inputs": [artifact.manifest for artifact in space.origin.inputs.values()],
        "parameters": space.origin.parameters,
    }


def _classes(space: NamedSpace) -> Iterator[dict[str, Any]]:
    for class_id, label in enumerate(space.phrases.labels):
        rows = space.phrases.rows(class_id)
        yield {
            "name": label,
            "count": int(space.matrix[class_id].sum()),
            "phrases": [(space.phrases.texts[row], int(space.clusters.members[row])) for row in rows],
        }


def _properties(space: NamedSpace) -> Iterator[dict[str, Any]]:
    for property_id, name in enumerate(space.names):
        rows = np.flatnonzero(space.clusters.members == property_id)
        yield {
            "name": name,
            "colour": space.layout.colours[property_id],
            "count": int(space.matrix[:, property_id].sum()),
            "phrases": [(space.phrases.texts[row], int(space.phrases.class_ids[row])) for row in rows],
        }


def _matrix_rows(space: NamedSpace) -> Iterator[dict[str, Any]]:
    """Properties with the classes that own them; between these, the number of classes that do not."""
    for property_id in space.layout.property_order.tolist():
        owned = space.matrix[space.layout.class_order, property_id].tolist()
        cells: list[dict[str, int]] = []
        place = 0
        for owns, run in groupby(owned):
            length = len(list(run))
            places = range(place, place + length)
            cells += [{"class_id": int(space.layout.class_order[at])} for at in places] if owns else [{"gap": length}]
            place += length
        yield {"property_id": property_id, "level": level(sum(owned)), "cells": cells}


def _map_points(space: NamedSpace) -> Iterator[dict[str, Any]]:
    """The points of each property."""
    places = (space.layout.positions * _MAP_SIZE).round().astype(int)
    for property_id in range(len(space.names)):
        rows = np.flatnonzero(space.clusters.members == property_id).tolist()
        yield {
            "property_id": property_id,
            "points": [
                (*places[row].tolist(), int(space.phrases.class_ids[row]), space.phrases.texts[row]) for row in rows
            ],
        }


def _markdown(space: NamedSpace) -> str:
    diagnostics, classes = space.diagnostics, space.diagnostics.properties_per_class
    mean = sum(classes.values()) / len(classes)
    members = [
        [f"{space.phrases.labels[space.phrases.class_ids[row]]}: {space.phrases.texts[row]}" for row in rows]
        for rows in (np.flatnonzero(space.clusters.members == k) for k in range(len(space.names)))
    ]
    parts = [
        f"# {len(space.names)} properties of {len(classes)} classes",
        f"A class has {mean:.1f} properties on average ({min(classes.values())} to {max(classes.values())}); "
        f"{len(diagnostics.properties_of_one_class)} properties belong to one class alone. "
        f"{len(space.phrases.texts)} descriptions, inertia {diagnostics.inertia:.1f}."
        + ("" if diagnostics.stability is None else f" Stability over seeds {diagnostics.stability:.2f}."),
        _naming(space.naming),
        _warnings(space.checks),
        f"![How the number of properties was chosen]({CURVE})" if diagnostics.choice else "",
        f"![Which class has which property]({MATRIX})",
        f"![Descriptions, coloured by property]({MAP})",
        f"![Which classes are alike]({TREE})",
        "## Properties",
        items((f"{k} {name}", "; ".join(members[k])) for k, name in enumerate(space.names)),
        "## Most similar classes",
        table(
            ("class", "class", "cosine", "shared properties"),
            [(pair.first, pair.second, f"{pair.cosine:.3f}", pair.shared) for pair in diagnostics.closest_classes],
        ),
        "## Properties of each class",
        table(("class", "properties"), classes.items()),
    ]
    return "\n\n".join(part for part in parts if part)


def _naming(naming: Naming) -> str:
    """Who named the properties, and what that took."""
    figures = naming.figures
    if not figures:
        return f"Named by {naming.namer}."
    kept = figures["named_by_medoid"]
    cost = "" if figures["cost"] is None else f", cost {figures['cost']:.4g}"
    # Not every server counts them.
    tokens = f", {figures['prompt_tokens']:,} prompt tokens, {figures['completion_tokens']:,} answer tokens"
    return (
        f"Named by {naming.namer}"
        + (f", but for {kept} that got no usable name and keep that of their most central description" if kept else "")
        + f": {figures['requests']} requests{cost}, {figures['answers_from_cache']} answers from the cache"
        + (tokens if figures["prompt_tokens"] else "")
        + "."
    )


def _warnings(checks: Sequence[Check]) -> str:
    findings = [finding for check in checks if check.warns for finding in check.findings]
    return "\n".join(["**Warnings**\n", *(f"- {finding}" for finding in findings)]) if findings else ""
