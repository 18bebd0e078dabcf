"""A store of immutable, content-addressed, versioned artifacts.

A stage describes what it would make in a `Recipe`: the stage's name, the fingerprint of its code,
its parameters and its inputs. The recipe's key is the hash of all that. `Store.build` returns the
artifact that was published under the key, or calls the stage, validates what it wrote against the
`Kind`, and publishes it in one atomic step:

    store = Store(Path("store"))
    recipe = Recipe("cluster", LABEL_SPACE, code_fingerprint(["tasks.cluster"]), {"k": 24}, {"embeddings": embeddings})
    artifact, hit = store.build(recipe, write=lambda folder: cluster(folder))
    artifact.table("properties.parquet")

What of an input enters the key is the digest of its *content*: the rows of its tables and the values of
its tensors. So a stage that runs again and gives the same content rebuilds nothing behind it.

On disk (see `artifacts.layout`) a version is a folder with its files and `manifest.json`. Nothing else
is needed to find an artifact; whatever is only a pointer (latest, tags) may be lost without losing data.

`Store(path, remote="s3://bucket/prefix")` shares artifacts with other stores: what it lacks is pulled, and what it
publishes is pushed (see `artifacts.remote` and `artifacts.exchange`).

Names are imported when first used, so that `import artifacts` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from artifacts.artifact import Artifact
    from artifacts.comparison import Change, Explanation
    from artifacts.errors import (
        DamagedError,
        FormatError,
        FullDiskError,
        NotFoundError,
        ReadOnlyError,
        RemoteError,
        StoreError,
        UnreachableError,
        ValidationError,
    )
    from artifacts.exchange import Exchanged
    from artifacts.file_hashes import FileHashes
    from artifacts.file_memory import FileMemory
    from artifacts.fingerprint import code_fingerprint
    from artifacts.garbage import Garbage
    from artifacts.integrity import Problem
    from artifacts.kind import Kind
    from artifacts.lineage import Lineage
    from artifacts.manifest import Manifest
    from artifacts.pointers import check_tag_name
    from artifacts.recipe import Recipe
    from artifacts.store import Built, Store
    from artifacts.transfer import Transfer

__all__ = [
    "Artifact",
    "Built",
    "Change",
    "DamagedError",
    "Exchanged",
    "Explanation",
    "FileHashes",
    "FileMemory",
    "FormatError",
    "FullDiskError",
    "Garbage",
    "Kind",
    "Lineage",
    "Manifest",
    "NotFoundError",
    "Problem",
    "ReadOnlyError",
    "Recipe",
    "RemoteError",
    "Store",
    "StoreError",
    "Transfer",
    "UnreachableError",
    "ValidationError",
    "check_tag_name",
    "code_fingerprint",
]

_MODULES = {
    "Artifact": "artifact",
    "Built": "store",
    "Change": "comparison",
    "DamagedError": "errors",
    "Exchanged": "exchange",
    "Explanation": "comparison",
    "FileHashes": "file_hashes",
    "FileMemory": "file_memory",
    "FormatError": "errors",
    "FullDiskError": "errors",
    "Garbage": "garbage",
    "Kind": "kind",
    "Lineage": "lineage",
    "Manifest": "manifest",
    "NotFoundError": "errors",
    "Problem": "integrity",
    "ReadOnlyError": "errors",
    "Recipe": "recipe",
    "RemoteError": "errors",
    "Store": "store",
    "StoreError": "errors",
    "Transfer": "transfer",
    "UnreachableError": "errors",
    "ValidationError": "errors",
    "check_tag_name": "pointers",
    "code_fingerprint": "fingerprint",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
