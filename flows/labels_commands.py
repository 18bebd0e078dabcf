"""`prolab labels`: look at a label space, take it elsewhere, compare it, put new classes into it and into a network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from artifacts import Artifact, Store
from flows.artifact_commands import StoreOption, TagOption, open_store, resolve
from flows.checkpoints import CheckpointArgument
from flows.output import make_progress, print_table, show_log
from tasks.errors import InputError

if TYPE_CHECKING:
    from tasks.labels.compare import Comparison
    from tasks.labels.described import Class, DescribedSpace

_SHOWN = 3

app = typer.Typer(
    help="Look at label spaces, export, compare and extend them.", no_args_is_help=True, rich_markup_mode=None
)

LabelSpaceArgument = Annotated[
    str,
    typer.Argument(
        help="Version or tag of a label space; the version's first digits are enough.",
        metavar="LABEL_SPACE",
        show_default=False,
    ),
]
DatasetOption = Annotated[
    str | None, typer.Option(help="Which data set, in a label space that several share.", show_default=False)
]


@app.command()
def show(
    label_space: LabelSpaceArgument,
    class_: Annotated[str | None, typer.Option("--class", help="Show this class alone.", show_default=False)] = None,
    property_: Annotated[
        str | None, typer.Option("--property", help="Show this property alone, by name or number.", show_default=False)
    ] = None,
    store: StoreOption = Path("store"),
) -> None:
    """Show classes and properties, or one of them with its descriptions."""
    if class_ is not None and property_ is not None:
        raise InputError("--class and --property: expected one of them")
    from tasks.labels.described import read_described_space

    space = read_described_space(resolve(open_store(store), "label_space", label_space))
    if class_ is not None:
        _show_class(space, class_)
    elif property_ is not None:
        _show_property(space, space.find_property(property_))
    else:
        _show_all(space)


@app.command()
def export(
    label_space: LabelSpaceArgument,
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE", show_default=False)],
    format_: Annotated[
        Literal["bank", "json", "csv"],
        typer.Option(
            "--format",
            help="bank: centres and class matrix as the original reads them; json: name of each property and its "
            'members, "class: description"; csv: one row a member.',
            show_default=False,
        ),
    ],
    dataset: DatasetOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Write a label space to a file that other programs read."""
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {file.parent}")
    opened = open_store(store)
    artifact = resolve(opened, "label_space", label_space)

    from tasks.labels.described import read_described_space
    from tasks.labels.encoder import encoder_identity, find_embeddings
    from tasks.labels.export import export as write

    encoder = "encoder"
    if format_ == "bank":
        encoder = str(encoder_identity(find_embeddings(opened, artifact)[0])["name"]).rpartition("/")[2]
    space = read_described_space(artifact)
    write(space, file, format_, encoder, dataset)
    print(f"{artifact.reference}: {len(space.properties.names)} properties written to {file}")


@app.command()
def diff(before: LabelSpaceArgument, after: LabelSpaceArgument, store: StoreOption = Path("store")) -> None:
    """Compare two label spaces: descriptions, groups of phrases, neighbours of classes, properties."""
    opened = open_store(store)

    from tasks.labels.compare import compare
    from tasks.labels.described import read_described_space

    first, second = (read_described_space(resolve(opened, "label_space", reference)) for reference in (before, after))
    _print_comparison(first, second, compare(first, second))


@app.command()
def extend(
    label_space: LabelSpaceArgument,
    descriptions: Annotated[
        str,
        typer.Argument(
            help="The new classes: FILE.json of class -> list of descriptions, or version or tag of descriptions.",
            metavar="DESCRIPTIONS",
            show_default=False,
        ),
    ],
    radius: Annotated[
        float | None,
        typer.Option(
            help="A phrase farther than this from every centre has no property; by default the radius within which "
            "99 % of the descriptions lie that the label space was made of.",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="In a label space of several data sets: the one that the classes join, or a new one.")
    ] = "",
    encoder: Annotated[
        str | None,
        typer.Option(help="Where the label space's encoder lies now, if it was moved.", show_default=False),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the encoder runs.")] = "auto",
    tag: TagOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Put described classes into a label space whose properties stay as they are: no network is trained anew."""
    opened = open_store(store)
    source = resolve(opened, "label_space", label_space)

    from tasks import embed
    from tasks.execution import run_stage
    from tasks.extend_labels import ExtendParams, extend_stage, source_names
    from tasks.labels.encoder import encoder_params, find_embeddings

    show_log()
    progress = make_progress()
    sources = find_embeddings(opened, source)
    params = encoder_params(opened, sources[0], encoder, device)
    described = _descriptions(opened, descriptions)
    embeddings = run_stage(embed.STAGE, params, {"descriptions": described}, opened, progress).artifact
    inputs = {
        "label_space": source,
        "embeddings": embeddings,
        **dict(zip(source_names(len(sources)), sources, strict=True)),
    }
    stage = extend_stage(len(sources))
    result = run_stage(stage, ExtendParams(radius=radius, dataset=dataset), inputs, opened, progress)
    _print_coverage(result.artifact)
    print_made(opened, result.artifact, result.hit, tag)


@app.command()
def apply(
    label_space: LabelSpaceArgument,
    checkpoint: CheckpointArgument,
    dataset: Annotated[
        str, typer.Option(help="In a label space of several data sets: the one whose classes are wanted.")
    ] = "",
    tag: TagOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Let a trained network tell apart the classes of a label space that has its properties: no training, no photo."""
    from tasks.apply_labels import STAGE, ApplyParams
    from tasks.execution import run_stage

    show_log()
    opened = open_store(store)
    inputs = {
        "checkpoint": resolve(opened, "checkpoint", checkpoint),
        "label_space": resolve(opened, "label_space", label_space),
    }
    artifact = run_stage(STAGE, ApplyParams(dataset=dataset), inputs, opened, make_progress()).artifact
    if tag is not None:
        opened.tag(artifact, tag)
    rows = [("checkpoint", artifact.reference), *artifact.manifest.summary.items()]
    print_table(("what", "value"), [(name.replace("_", " "), str(value)) for name, value in rows])
    print(f"use it: prolab evaluate {tag or artifact.version} --dataset DATASET, or prolab export")


def print_made(store: Store, artifact: Artifact, hit: bool, tag: str | None) -> None:
    """Tag a label space that was made, and say which it is."""
    if tag is not None:
        store.tag(artifact, tag)
    rows = {
        "artifact": artifact.reference if tag is None else f"{artifact.reference} (label_space:{tag})",
        "state": "Cached" if hit else "Built",
        "report": str(artifact.file("report.html")),
        **artifact.manifest.summary,
    }
    print()
    print_table(
        ("what", "value"),
        [(name.replace("_", " "), "-" if value is None else str(value)) for name, value in rows.items()],
    )
    print(f"use it: prolab run EXPERIMENT.yaml --pin cluster={tag or artifact.version}")


def _descriptions(store: Store, reference: str) -> Artifact:
    """The descriptions artifact that is named, or one of the file that is."""
    path = Path(reference)
    if path.suffix != ".json":
        return resolve(store, "descriptions", reference)
    from tasks import describe
    from tasks.execution import run_stage

    classes = _class_names(path)
    params = describe.DescribeParams(classes=classes, provider=describe.DescriptorFile(type="file", path=path))
    return run_stage(describe.STAGE, params, {}, store, make_progress()).artifact


def _class_names(path: Path) -> tuple[str, ...]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected a JSON object of class -> list of descriptions")
    return tuple(content)


def _show_all(space: DescribedSpace) -> None:
    matrices = ", ".join(
        f"{len(matrix.classes)} {f'({matrix.dataset})' * bool(matrix.dataset)}".strip() for matrix in space.matrices
    )
    _print_section(
        "",
        ("what", "value"),
        [
            ("label space", space.reference),
            ("properties", str(len(space.properties.names))),
            ("classes", matrices),
            ("descriptions", str(len(space.descriptions))),
        ],
    )
    owners = _owners(space)
    sizes = [0] * len(space.properties.names)
    for item in space.descriptions:
        sizes[item.property_id] += 1
    _print_section(
        "Properties",
        ("id", "property", "phrases", "classes"),
        [
            (str(number), name, str(sizes[number]), _listing(list(map(str, owners[number]))))
            for number, name in enumerate(space.properties.names)
        ],
    )
    _print_section(
        "Classes",
        ("class", "properties", "of which no other class has"),
        [
            (str(owner), str(len(own)), str(sum(len(owners[number]) == 1 for number in own)))
            for owner, own in space.classes.items()
        ],
    )


def _show_class(space: DescribedSpace, name: str) -> None:
    owners = _owners(space)
    for owner in space.find_classes(name):
        phrases = space.of_class(owner)
        _print_section(
            f"{owner}: {len(space.classes[owner])} properties",
            ("id", "property", "phrases", "other classes that have it"),
            [
                (
                    str(number),
                    space.properties.names[number],
                    "; ".join(item.text for item in phrases if item.property_id == number),
                    _listing([str(other) for other in owners[number] if other != owner]),
                )
                for number in sorted(space.classes[owner])
            ],
        )


def _show_property(space: DescribedSpace, number: int) -> None:
    members = sorted(space.members(number), key=lambda item: item.distance)
    _print_section(
        f"{number}: {space.properties.names[number]}",
        ("class", "phrase", "distance from the centre"),
        [(str(item.owner), item.text, f"{item.distance:.3f}") for item in members],
    )


def _owners(space: DescribedSpace) -> list[list[Class]]:
    """The classes that have each property."""
    owners: list[list[Class]] = [[] for _ in space.properties.names]
    for owner, own in space.classes.items():
        for number in own:
            owners[number].append(owner)
    return owners


def _print_comparison(before: DescribedSpace, after: DescribedSpace, comparison: Comparison) -> None:
    _print_section(
        "",
        ("what", "before", "after"),
        [
            ("label space", before.reference, after.reference),
            ("classes", str(len(before.classes)), str(len(after.classes))),
            ("properties", str(len(before.properties.names)), str(len(after.properties.names))),
            ("descriptions", str(len(before.descriptions)), str(len(after.descriptions))),
        ],
    )
    _print_section(
        "Agreement",
        ("what", "value"),
        [
            ("shared phrases", str(comparison.shared_phrases)),
            ("adjusted Rand index", _figure(comparison.adjusted_rand_index)),
            ("normalised mutual information", _figure(comparison.normalized_mutual_information)),
            ("properties kept", str(len(comparison.kept_properties))),
            ("properties lost", str(len(comparison.properties_lost))),
            ("properties gained", str(len(comparison.properties_gained))),
            ("classes with other descriptions", str(len(comparison.changed_classes))),
            ("classes with other neighbours", str(len(comparison.moved_classes))),
        ],
    )
    gone = [("lost", str(owner)) for owner in comparison.classes_lost]
    _print_section(
        "Classes of one alone", ("change", "class"), [*gone, *(("gained", str(o)) for o in comparison.classes_gained)]
    )
    _print_section(
        "Descriptions changed",
        ("class", "kept", "removed", "added"),
        [
            (str(change.owner), str(change.kept), "; ".join(change.removed), "; ".join(change.added))
            for change in comparison.changed_classes
        ],
    )
    _print_section(
        "Neighbours changed",
        ("class", "nearest before", "cosine", "nearest after", "cosine"),
        [
            (
                str(moved.owner),
                _listing(list(map(str, moved.before.classes))),
                f"{moved.before.cosine:.3f}",
                _listing(list(map(str, moved.after.classes))),
                f"{moved.after.cosine:.3f}",
            )
            for moved in comparison.moved_classes
        ],
    )
    changes = [("lost", before, number) for number in comparison.properties_lost]
    changes += [("gained", after, number) for number in comparison.properties_gained]
    _print_section(
        "Properties lost and gained",
        ("change", "id", "property", "members"),
        [
            (
                change,
                str(number),
                space.properties.names[number],
                _listing([f"{item.owner}: {item.text}" for item in space.members(number)]),
            )
            for change, space, number in changes
        ],
    )


def _print_coverage(artifact: Artifact) -> None:
    _print_section(
        "",
        ("class", "phrase", "property", "distance"),
        [
            (
                row["class_name"],
                row["text"],
                row["property"] if row["covered"] else f"none; nearest: {row['property']}",
                f"{row['distance']:.3f}",
            )
            for row in artifact.table("coverage.parquet").to_pylist()
        ],
    )


def _print_section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table with its title and an empty line before it; nothing where it has no rows."""
    listed = list(rows)
    if not listed:
        return
    if title:
        print(f"\n{title}")
    print_table(columns, listed)


def _listing(names: Sequence[str]) -> str:
    further = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + further


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
