"""Banks of properties: centres in the text space, and which class owns which of them (spec 1.7)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from prolab_model.torch_file import read_torch_file
from prolab_model.whole_files import written_whole

_DESCRIPTIONS = "descriptions"
_KEY_END = "_embeddings_and_labels"

# What the released files call a data set: the name that the original's configs read, then others that occur.
_FILE_STEMS = {"ade20k": ("ade", "ade20k"), "cityscapes": ("cityscapes_bdd",), "bdd100k": ("cityscapes_bdd",)}


@dataclass(frozen=True)
class Bank:
    """K properties, and N classes as multi-hot vectors over them.

    Attributes:
        centres: (K, D) float32, as they are in the file: not normalised.
        class_matrix: (N, K) float32, zeros and ones.
        descriptions: what is said of each class, by class name in the order of the labels; None where a file has none.
        properties: names of the K properties; None where nobody named them.
    """

    centres: Tensor
    class_matrix: Tensor
    descriptions: Mapping[str, tuple[str, ...]] | None = None
    properties: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.centres.ndim != 2 or self.class_matrix.ndim != 2 or len(self.centres) != self.class_matrix.shape[1]:
            raise ValueError(
                f"bank: expected centres (K, D) and a class matrix (N, K); "
                f"got {tuple(self.centres.shape)} and {tuple(self.class_matrix.shape)}"
            )
        if not torch.isfinite(self.centres).all():
            raise ValueError("bank: the centres hold values that are not finite")
        if not ((self.class_matrix == 0) | (self.class_matrix == 1)).all():
            raise ValueError("bank: expected a class matrix of zeros and ones")
        for what, names, expected in (
            ("classes with descriptions", self.descriptions, len(self.class_matrix)),
            ("property names", self.properties, len(self.centres)),
        ):
            if names is not None and len(names) != expected:
                raise ValueError(f"bank: expected {expected} {what}, got {len(names)}")

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the N classes, where they are known."""
        return None if self.descriptions is None else tuple(self.descriptions)


def find_bank(folder: Path, dataset: str) -> Path:
    """The released bank file of a data set in `folder`.

    The original's configs read `ade_desc_...`, its notebook writes `ade20k_desc_...`: either is found.

    Args:
        folder: where bank files lie.
        dataset: ade20k, coco_stuff_164k, pascal_context_59, cityscapes, bdd100k, or what else a file begins with.

    Raises:
        ValueError: when there is no such file, or more than one.
    """
    patterns = [f"{stem}_desc_*_embedding_bank.pth" for stem in _FILE_STEMS.get(dataset, (dataset,))]
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ValueError(f"{folder}: expected one file {' or '.join(patterns)}; found {names}")
    return found[0]


def read_bank(path: Path, key: str | None = None) -> Bank:
    """Read a released bank file.

    Args:
        path: a file of `torch.save` that holds `descriptions` and `<name>_embeddings_and_labels`, a list of
            centres (D, K) and labels (K, N), NumPy arrays or tensors.
        key: which entry to read, where a file has several.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it holds something else.
    """
    content = read_torch_file(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected a dict as in a released bank file, got {type(content).__name__}")
    keys = [name for name in content if isinstance(name, str) and name.endswith(_KEY_END)]
    if key is None and len(keys) == 1:
        key = keys[0]
    if key not in content:
        wanted = f"the key {key}" if key else f"one key that ends in {_KEY_END}"
        raise ValueError(f"{path}: expected {wanted}; the file has {', '.join(map(str, content)) or 'nothing'}")
    try:
        centres, labels = (torch.as_tensor(value).float().T.contiguous() for value in content[key])
        return Bank(centres, labels, _read_descriptions(content.get(_DESCRIPTIONS)))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: {key}: expected a list of centres (D, K) and labels (K, N): {error}") from error


def _read_descriptions(value: Any) -> dict[str, tuple[str, ...]] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"{_DESCRIPTIONS} is no dict of class name to texts but {type(value).__name__}")
    return {str(name): tuple(map(str, texts)) for name, texts in value.items()}


def write_bank(path: Path, bank: Bank, encoder: str = "bge-base-en-v1.5", llm: str = "gpt3.5") -> None:
    """Write a bank as the original reads it; the file appears whole or not at all.

    The original takes file and key from its configs: `<data set>_desc_<encoder>_<llm>_cluster_<K>_embedding_bank.pth`,
    with `ade` for ADE20K, and `<encoder>_<llm>_cluster_<K>_embeddings_and_labels`. Names of properties have no place
    in the file.

    Args:
        path: the file; one that is there is replaced.
        bank: what to write.
        encoder: name of the sentence encoder, for the key.
        llm: name of the model that described the classes, for the key.
    """
    content: dict[str, Any] = {
        _DESCRIPTIONS: {name: list(texts) for name, texts in (bank.descriptions or {}).items()},
        f"{encoder}_{llm}_cluster_{len(bank.centres)}{_KEY_END}": [
            bank.centres.float().T.contiguous(),
            bank.class_matrix.double().T.contiguous(),
        ],
    }
    if bank.descriptions is None:
        del content[_DESCRIPTIONS]
    with written_whole(path) as file:
        torch.save(content, file)


def read_properties(path: Path) -> dict[str, list[str]]:
    """Read a properties JSON: name of a property -> its members, as "class: description".

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict) or not all(
        isinstance(members, list) and members and all(isinstance(member, str) for member in members)
        for members in content.values()
    ):
        raise ValueError(f'{path}: expected a JSON object of property name -> list of "class: description"')
    return content


def members(properties: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, str]]:
    """Property, class and description of every member of a properties JSON.

    Raises:
        ValueError: when a member is not "class: description".
    """
    for name, texts in properties.items():
        for text in texts:
            class_name, separator, description = text.partition(": ")
            if not separator:
                raise ValueError(f'property {name!r}: expected members "class: description", got {text!r}')
            yield name, class_name, description


def bank_from_properties(
    properties: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    embed: Callable[[Sequence[str]], npt.NDArray[np.float32]],
) -> Bank:
    """Rebuild the bank whose clusters a properties JSON lists (spec 1.7).

    A centre is the mean of its members' embeddings, and a class owns a property that one of its descriptions
    belongs to. The order of the properties is the file's; nothing depends on it.

    Args:
        properties: name of a property -> its members, as "class: description".
        classes: names of the classes in the order of their labels.
        embed: lower-case texts to their embeddings (M, D), rows of length 1.

    Raises:
        ValueError: when a member's class is unknown, a class has no member, or the embeddings are not as described.
    """
    class_ids = {name: index for index, name in enumerate(classes)}
    rows = list(members(properties))
    for name, class_name, description in rows:
        if class_name not in class_ids:
            raise ValueError(f"property {name!r}: class {class_name!r} of {description!r} is none of the classes")
    if without := sorted(set(classes) - {class_name for _, class_name, _ in rows}):
        raise ValueError(
            f"every class needs a description; the properties have none of {', '.join(map(repr, without))}"
        )

    property_ids = {name: index for index, name in enumerate(properties)}
    owners = torch.tensor([property_ids[name] for name, _, _ in rows])
    vectors = _embed([description.lower() for _, _, description in rows], embed)
    sums = torch.zeros(len(properties), vectors.shape[1]).index_add_(0, owners, vectors)
    class_matrix = torch.zeros(len(classes), len(properties))
    class_matrix[[class_ids[class_name] for _, class_name, _ in rows], owners] = 1
    descriptions: dict[str, list[str]] = {name: [] for name in classes}
    for _, class_name, description in rows:
        descriptions[class_name].append(description)
    return Bank(
        centres=sums / owners.bincount(minlength=len(properties))[:, None],
        class_matrix=class_matrix,
        descriptions={name: tuple(texts) for name, texts in descriptions.items()},
        properties=tuple(properties),
    )


def _embed(texts: Sequence[str], embed: Callable[[Sequence[str]], npt.NDArray[np.float32]]) -> Tensor:
    """Embeddings (M, D) of texts, each different text embedded once."""
    unique = list(dict.fromkeys(texts))
    vectors = torch.as_tensor(embed(unique)).float()
    if vectors.ndim != 2 or len(vectors) != len(unique):
        raise ValueError(f"embeddings: expected ({len(unique)}, D), got {tuple(vectors.shape)}")
    if (vectors.norm(dim=1) - 1).abs().max() > 1e-3:
        raise ValueError("embeddings: expected rows of length 1; normalise them")
    row_of = {text: row for row, text in enumerate(unique)}
    return vectors[[row_of[text] for text in texts]]


def match_names(bank: Bank, properties: Mapping[str, Sequence[str]]) -> list[str | None]:
    """Names of a bank's properties, from a properties JSON that lists the members of the same clusters.

    The bank does not say which descriptions belong to a property, only which classes own it: a name goes to the
    property with the same owners. Properties that share their owners stay without a name.

    Args:
        bank: with the names of its classes.
        properties: name of a property -> its members, as "class: description".

    Raises:
        ValueError: when the two do not have the same classes, or not as many properties of every set of owners.
    """
    if bank.classes is None:
        raise ValueError("the bank does not name its classes, so that properties cannot be matched with it")
    owners_of_name: dict[str, set[str]] = {}
    for name, class_name, _ in members(properties):
        owners_of_name.setdefault(name, set()).add(class_name.strip())
    names_of_owners: dict[frozenset[str], list[str]] = {}
    for name, owners in owners_of_name.items():
        names_of_owners.setdefault(frozenset(owners), []).append(name)

    classes = [name.strip() for name in bank.classes]
    owners_in_bank = [
        frozenset(classes[row] for row in column.nonzero().flatten().tolist()) for column in bank.class_matrix.T
    ]
    counts = Counter(owners_in_bank)
    alike = sum((counts & Counter({owners: len(names) for owners, names in names_of_owners.items()})).values())
    if not alike == len(owners_in_bank) == len(properties):
        raise ValueError(
            f"the {len(properties)} named properties are not the bank's {len(owners_in_bank)}: "
            f"{alike} are owned by the same classes"
        )
    return [names_of_owners[owners][0] if counts[owners] == 1 else None for owners in owners_in_bank]
