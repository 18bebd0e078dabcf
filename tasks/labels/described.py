"""A label space with the descriptions that it was made of: what is shown, exported and compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from artifacts import Artifact
from tasks.errors import InputError
from tasks.label_space import ClassMatrix, Properties, read_class_matrices, read_properties

_NEAREST = 3


@dataclass(frozen=True)
class Class:
    """A class of one data set; `dataset` is empty where the label space is that of a single one."""

    dataset: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.dataset})" if self.dataset else self.name


@dataclass(frozen=True)
class Description:
    """A phrase that describes a class, the property that it is a member of, and its distance from that centre."""

    owner: Class
    text: str
    property_id: int
    distance: float


@dataclass(frozen=True)
class DescribedSpace:
    """K properties, the classes that have them, and the members.

    Attributes:
        reference: name of the artifact.
        properties: names and centres.
        matrices: class matrix of each data set.
        descriptions: in the order of classes and positions.
    """

    reference: str
    properties: Properties
    matrices: tuple[ClassMatrix, ...]
    descriptions: tuple[Description, ...]

    @cached_property
    def classes(self) -> dict[Class, frozenset[int]]:
        """Properties of each class, by id."""
        return {
            Class(matrix.dataset, name): frozenset(row.nonzero()[0].tolist())
            for matrix in self.matrices
            for name, row in zip(matrix.classes, matrix.matrix, strict=True)
        }

    def members(self, property_id: int) -> list[Description]:
        """The descriptions that make up a property."""
        return [item for item in self.descriptions if item.property_id == property_id]

    def of_class(self, owner: Class) -> list[Description]:
        """The descriptions of a class."""
        return [item for item in self.descriptions if item.owner == owner]

    def find_classes(self, name: str) -> list[Class]:
        """The classes of a name, one in each data set that has it; "name (data set)" is a single one.

        Raises:
            InputError: there is no such class.
        """
        found = [owner for owner in self.classes if _alike(name, owner.name) or _alike(name, str(owner))]
        if not found:
            raise InputError(f"{self.reference} has no class {name!r}{_nearest(name, map(str, self.classes))}")
        return found

    def find_property(self, name: str) -> int:
        """Id of the property that a name or a number means (see `find_property`)."""
        return find_property(self.properties.names, name, self.reference)

    def select(self, dataset: str | None) -> DescribedSpace:
        """The part of one data set; where there is only one it need not be named.

        Raises:
            InputError: there is no such data set, or there are several and none is named.
        """
        names = [matrix.dataset for matrix in self.matrices]
        if dataset is None and len(names) > 1:
            raise InputError(f"{self.reference} is of several data sets: name one of {', '.join(names)} with --dataset")
        if dataset is not None and dataset not in names:
            listed = ", ".join(filter(None, names)) or "none, since it is of a single one"
            raise InputError(f"{self.reference} has no data set {dataset!r}; it names {listed}")
        chosen = names[0] if dataset is None else dataset
        return DescribedSpace(
            self.reference,
            self.properties,
            tuple(matrix for matrix in self.matrices if matrix.dataset == chosen),
            tuple(item for item in self.descriptions if item.owner.dataset == chosen),
        )


def read_described_space(label_space: Artifact) -> DescribedSpace:
    """Read a `label_space` artifact."""
    rows = label_space.table("assignments.parquet").sort_by([("class_id", "ascending"), ("position", "ascending")])
    return DescribedSpace(
        reference=label_space.reference,
        properties=read_properties(label_space),
        matrices=tuple(read_class_matrices(label_space)),
        descriptions=tuple(
            Description(Class(row["dataset"], row["class_name"]), row["text"], row["property_id"], row["distance"])
            for row in rows.to_pylist()
        ),
    )


def find_property(names: Sequence[str], name: str, owner: str) -> int:
    """Id of the property that a name or a number means, among those of `owner`, which has these `names`.

    Raises:
        InputError: there is no such property.
    """
    for number, other in enumerate(names):
        if _alike(name, other):
            return number
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    raise InputError(f"{owner} has no property {name!r} among its {len(names)}{_nearest(name, names)}")


def _alike(first: str, second: str) -> bool:
    return first.strip().casefold() == second.strip().casefold()


def _nearest(name: str, names: Iterable[str]) -> str:
    matches = get_close_matches(name, list(names), n=_NEAREST, cutoff=0.4)
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""
