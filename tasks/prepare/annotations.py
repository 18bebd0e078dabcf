"""What label maps are made of: files beside them, or one file for the whole data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from prolab_model.dataset_config import DatasetConfig
from prolab_model.label_formats import AnnotationError
from prolab_model.label_formats.pascal_context import AnnotatedImage, paint, read_annotations
from tasks.errors import InputError
from tasks.index.folders import listed_names, names_below
from tasks.prepare.conversion import Conversion


@dataclass(frozen=True)
class Wanted:
    """A folder below the root, or a file, that a data set needs; a folder is to hold files that end in `suffixes`."""

    path: str
    suffixes: tuple[str, ...] = ()

    def __str__(self) -> str:
        names = " or ".join(f"*{suffix}" for suffix in self.suffixes)
        return f"{self.path}/{names}" if names else self.path

    def is_below(self, root: Path) -> bool:
        """Whether it is there; a folder with at least one such file."""
        path = root / self.path
        if not self.suffixes:
            return path.is_file()
        return path.is_dir() and any(names_below(path, suffix) for suffix in self.suffixes)


@dataclass(frozen=True)
class Plan:
    """The label maps to be made, and the text of files by their path below the root, to be written after them."""

    conversions: Sequence[Conversion] = ()
    lists: Mapping[str, str] = field(default_factory=dict)


class Annotations(ABC):
    """What the label maps of a data set are made of."""

    @abstractmethod
    def wanted(self, root: Path, config: DatasetConfig) -> Iterator[Wanted]:
        """What has to be there besides the photos."""

    @abstractmethod
    def plan(self, root: Path, config: DatasetConfig) -> Plan:
        """What is to be made; raises InputError when an annotation cannot be read."""


@dataclass(frozen=True)
class AnnotationFiles(Annotations):
    """One file for each photo, where its label map belongs, or the label map itself.

    Attributes:
        readers: makes a label map (H, W) of a file's content, by how the file's name ends; the first there is counts.
    """

    readers: Mapping[str, Callable[[bytes], npt.NDArray[np.uint8]]] = field(default_factory=dict)

    def wanted(self, root: Path, config: DatasetConfig) -> Iterator[Wanted]:
        """The folders of label maps, with these or with annotations in them."""
        for folders in config.data.values():
            yield Wanted(folders.ann_dir, tuple(dict.fromkeys([*self.readers, folders.seg_map_suffix])))

    def plan(self, root: Path, config: DatasetConfig) -> Plan:
        """A label map for every photo that has an annotation."""
        conversions = []
        for folders in config.data.values():
            names = names_below(root / folders.img_dir, folders.img_suffix)
            for suffix, read in self.readers.items():
                annotated = names & names_below(root / folders.ann_dir, suffix)
                names -= annotated
                for name in sorted(annotated):
                    source = PurePath(folders.ann_dir, name + suffix).as_posix()
                    target = root / folders.ann_dir / (name + folders.seg_map_suffix)
                    conversions.append(Conversion(source, target, partial(_read_file, read, root / source)))
        return Plan(conversions)


def _read_file(read: Callable[[bytes], npt.NDArray[np.uint8]], path: Path) -> npt.NDArray[np.uint8]:
    return read(path.read_bytes())


@dataclass(frozen=True)
class MergedAnnotations(Annotations):
    """One JSON file with the regions of all photos and the split of each, as Pascal Context has it.

    Attributes:
        file: its path below the root; not needed where all lists and label maps are there.
    """

    file: str

    def wanted(self, root: Path, config: DatasetConfig) -> Iterator[Wanted]:
        """The file, as long as something is to be made of it."""
        if not _all_made(root, config):
            yield Wanted(self.file)

    def plan(self, root: Path, config: DatasetConfig) -> Plan:
        """A label map for every photo of the file, and the list of each split's names; lists that are there stay."""
        if _all_made(root, config):
            return Plan()
        try:
            images = read_annotations(root / self.file)
        except (AnnotationError, OSError) as error:
            raise InputError(f"{root / self.file}: {error}") from error
        conversions: list[Conversion] = []
        lists = {}
        for split, folders in config.data.items():
            own = sorted((image for image in images if image.split == split), key=lambda image: image.name)
            suffix = folders.seg_map_suffix
            conversions += [self._conversion(image, root / folders.ann_dir / (image.name + suffix)) for image in own]
            if folders.split is not None and not (root / folders.split).exists():
                lists[folders.split] = "".join(f"{image.name}\n" for image in own)
        return Plan(conversions, lists)

    def _conversion(self, image: AnnotatedImage, target: Path) -> Conversion:
        return Conversion(f"{self.file}: {image.name}", target, partial(paint, image))


def _all_made(root: Path, config: DatasetConfig) -> bool:
    """Whether every split has its list, and every name in it a label map."""
    return all(
        folders.split is not None
        and (root / folders.split).is_file()
        and (root / folders.ann_dir).is_dir()
        and listed_names(root / folders.split) <= names_below(root / folders.ann_dir, folders.seg_map_suffix)
        for folders in config.data.values()
    )
