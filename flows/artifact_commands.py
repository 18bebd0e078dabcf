"""`prolab artifacts`: look at what is in the store, check it, name it and clear it up."""

from __future__ import annotations

import gc as garbage_collector
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from artifacts import Artifact, Lineage, Store, check_tag_name
from flows.output import format_bytes, format_seconds, print_table
from flows.stores import REMOTE_VARIABLE, make_store
from tasks.errors import InputError

_DAMAGED = 3

app = typer.Typer(help="Look at the artifacts in the store.", no_args_is_help=True, rich_markup_mode=None)

StoreOption = Annotated[Path, typer.Option("--store", envvar="PROLAB_STORE", help="The store's folder.")]
Reference = Annotated[
    str, typer.Argument(help="KIND, KIND:TAG or KIND:VERSION; the version's first digits are enough.")
]


def _good_for_a_tag(name: str | None) -> str | None:
    """Refuses a name for a tag before the work is done that it would name."""
    if name is not None:
        check_tag_name(name)
    return name


TagOption = Annotated[
    str | None,
    typer.Option(
        "--tag",
        metavar="NAME",
        callback=_good_for_a_tag,
        help="Name the version: NAME then means it, in other commands and in --pin.",
        show_default=False,
    ),
]


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="Only this kind.")] = None, store: StoreOption = Path("store")
) -> None:
    """List the versions, newest first."""
    _do_without_cycle_search()
    opened = open_store(store)
    names: dict[str, list[str]] = {}
    for reference, version in opened.tags().items():
        tagged_kind, _, tag = reference.partition(":")
        names.setdefault(f"{tagged_kind}:{version}", []).append(tag)
    rows = [
        (
            manifest.kind,
            manifest.version,
            manifest.created,
            format_seconds(manifest.seconds),
            format_bytes(sum(file.bytes for file in manifest.files.values())),
            ", ".join(names.get(manifest.reference, ())),
        )
        for manifest in opened.list(kind)
    ]
    print_table(("kind", "version", "created", "took", "size", "tags"), rows)


@app.command()
def show(reference: Reference, store: StoreOption = Path("store")) -> None:
    """Show what a version is, what it was made of and what was made of it."""
    _do_without_cycle_search()
    opened = open_store(store)
    artifact = opened.resolve(reference)
    manifest = artifact.manifest
    rows = [
        ("artifact", artifact.reference),
        ("path", str(artifact.path)),
        ("stage", manifest.stage),
        ("created", manifest.created),
        ("took", format_seconds(manifest.seconds)),
        ("peak memory", format_bytes(manifest.peak_memory_bytes)),
        ("content digest", manifest.digest),
        *((f"input {name}", f"{record.kind}:{record.version}") for name, record in manifest.inputs.items()),
        *((f"used by {user.stage}", user.reference) for user in opened.dependants(artifact)),
        *((f"file {name}", format_bytes(record.bytes)) for name, record in manifest.files.items()),
        *_flatten("summary", manifest.summary),
        *_flatten("parameter", manifest.parameters),
        *_flatten("external", manifest.external),
        *_flatten("recorded", manifest.recorded),
    ]
    print_table(("what", "value"), rows)


@app.command()
def diff(before: Reference, after: Reference, store: StoreOption = Path("store")) -> None:
    """Show what differs between two versions: parameters, code, inputs, files, figures."""
    opened = open_store(store)
    changes = opened.diff(opened.resolve(before), opened.resolve(after))
    print_table(
        ("part", "before", "after"), [(change.part, str(change.before), str(change.after)) for change in changes]
    )


@app.command()
def lineage(reference: Reference, store: StoreOption = Path("store")) -> None:
    """Show the versions that a version was made of, as a tree."""
    opened = open_store(store)
    for line in _tree(opened.lineage(opened.resolve(reference)), depth=0):
        print(line)


@app.command()
def verify(
    references: Annotated[list[str] | None, typer.Argument(help="Versions to check; all if none is named.")] = None,
    store: StoreOption = Path("store"),
) -> None:
    """Check every byte; exit code 3 when something is damaged."""
    problems = open_store(store).verify(references or None)
    for problem in problems:
        print(problem)
    if problems:
        raise typer.Exit(_DAMAGED)
    print("every byte is as it was published")


@app.command()
def gc(
    keep: Annotated[int, typer.Option(min=0, help="How many of the newest versions of each kind to keep.")] = 1,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete; without it the command only says what it would.")
    ] = False,
    store: StoreOption = Path("store"),
) -> None:
    """Clear up what is neither tagged, nor in use, nor new, nor something that such a version was made of."""
    _do_without_cycle_search()
    garbage = open_store(store).collect_garbage(keep_latest=keep, dry_run=not delete)
    print_table(("what", "size", "path"), [(item.what, format_bytes(item.bytes), str(item.path)) for item in garbage])
    freed = format_bytes(sum(item.bytes for item in garbage))
    print(f"{freed} freed" if delete else f"{freed} would be freed: run again with --delete")


@app.command()
def tag(
    reference: Reference,
    name: Annotated[str, typer.Argument(callback=_good_for_a_tag, help="For instance production.")],
    store: StoreOption = Path("store"),
) -> None:
    """Name a version, so that KIND:NAME means it and `gc` keeps it."""
    opened = open_store(store)
    artifact = opened.resolve(reference)
    opened.tag(artifact, name)
    print(f"{artifact.kind}:{name} is {artifact.reference}")


@app.command()
def untag(
    reference: Annotated[str, typer.Argument(help="The tag as KIND:NAME.")], store: StoreOption = Path("store")
) -> None:
    """Remove a tag; the version stays."""
    open_store(store).untag(reference)


def _do_without_cycle_search() -> None:
    """For commands that read every manifest, show what they found, and end.

    Python would look for cycles among all that was read, for about half as long as reading takes.
    """
    garbage_collector.disable()


def open_store(folder: Path) -> Store:
    """Open the store that a command is to read.

    Raises:
        InputError: there is none, and no remote whose artifacts it could pull.
    """
    if not folder.is_dir() and not os.environ.get(REMOTE_VARIABLE):
        raise InputError(f"{folder}: there is no store here; name it with --store or PROLAB_STORE")
    return make_store(folder)


def resolve(store: Store, kind: str, reference: str) -> Artifact:
    """The artifact that a version or a tag names, or `kind:version`.

    Raises:
        InputError: it names another kind.
    """
    named, _, name = reference.rpartition(":")
    if named not in ("", kind):
        raise InputError(f"{reference}: expected a {kind}, got a {named}")
    return store.resolve(f"{kind}:{name}")


def _flatten(prefix: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flatten(f"{prefix} {name}" if " " not in prefix else f"{prefix}.{name}", item)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tree(node: Lineage, depth: int) -> Iterator[str]:
    gone = "" if node.manifest else "  (no longer in the store)"
    yield f"{'  ' * depth}{node.kind}:{node.version}{gone}"
    for inner in node.inputs.values():
        yield from _tree(inner, depth + 1)
