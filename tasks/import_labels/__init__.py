"""Import labels: a released list of properties, or a bank, becomes a label space (spec section 1.7).

It goes the way of the pipeline: `import_descriptions`, `embed`, `import_labels`.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue

from artifacts import FileHashes
from tasks.errors import InputError
from tasks.kinds import DESCRIPTIONS, EMBEDDINGS, LABEL_SPACE
from tasks.stage import Runtime, Stage, StageParams


class ImportLabelsParams(StageParams):
    """The file that a label space comes from.

    Attributes:
        file: FILE.json of property name -> list of "class: description", or FILE.pth with a bank in the original's
            format, whose properties are named by their medoids.
    """

    file: Runtime[Path]

    def external(self, hashes: FileHashes) -> dict[str, JsonValue]:
        """Content of the file.

        Raises:
            InputError: there is no such file, or its name says that it is neither.
        """
        if self.file.suffix not in (".json", ".pth"):
            raise InputError(f"{self.file}: expected properties in FILE.json, or a bank in FILE.pth")
        if not self.file.is_file():
            raise InputError(f"{self.file}: there is no such file")
        return {"file": hashes.hash(self.file), "format": self.file.suffix}


class ImportDescriptionsParams(ImportLabelsParams):
    """The same file, and the classes that it describes.

    Attributes:
        classes: names in the order of their ids; where none are given, in the order of the file.
    """

    classes: tuple[str, ...] | None = None


_SOURCES = (
    "tasks.import_labels",
    "tasks.cluster",
    "tasks.describe",
    "tasks.models",
    "prolab_model.bank",
    "prolab_model.torch_file",
)

DESCRIPTIONS_STAGE = Stage(
    name="import_descriptions",
    params=ImportDescriptionsParams,
    inputs={},
    output=DESCRIPTIONS,
    function="tasks.import_labels.run:run_descriptions",
    sources=(
        "tasks.import_labels",
        "tasks.cluster",
        "tasks.describe",
        "tasks.models",
        "prolab_model.bank",
        "prolab_model.torch_file",
    ),
    description="The descriptions in a released list of properties or bank",
)

STAGE = Stage(
    name="import_labels",
    params=ImportLabelsParams,
    inputs={"embeddings": EMBEDDINGS},
    output=LABEL_SPACE,
    function="tasks.import_labels.run:run",
    sources=_SOURCES,
    description="A released list of properties or bank to a label space",
)
