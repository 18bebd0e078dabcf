"""`prolab artifacts push`, `pull` and `sync`: share artifacts through a remote."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from artifacts import Store
from flows.artifact_commands import StoreOption, open_store
from flows.output import format_bytes, format_seconds, make_progress, print_table
from flows.stores import REMOTE_VARIABLE
from tasks.errors import InputError

if TYPE_CHECKING:
    from artifacts import Exchanged

RemoteOption = Annotated[
    str | None,
    typer.Option(
        "--remote",
        envvar=REMOTE_VARIABLE,
        metavar="URL",
        help="s3://bucket/prefix, gs://..., az://... or a shared folder.",
        show_default=False,
    ),
]
WithInputsOption = Annotated[bool, typer.Option("--with-inputs", help="Also what the named versions were made of.")]
References = Annotated[
    list[str] | None, typer.Argument(help="KIND, KIND:TAG or KIND:VERSION; all versions if none is named.")
]


def push(
    references: References = None,
    remote: RemoteOption = None,
    with_inputs: WithInputsOption = False,
    store: StoreOption = Path("store"),
) -> None:
    """Send versions and their tags to a remote; what is there already is not sent again."""
    _exchange(Store(open_store(store).root, remote=_required(remote)).push, references, with_inputs)


def pull(
    references: References = None,
    remote: RemoteOption = None,
    with_inputs: WithInputsOption = False,
    store: StoreOption = Path("store"),
) -> None:
    """Fetch versions and their tags from a remote, and check every byte."""
    _exchange(Store(store, remote=_required(remote)).pull, references, with_inputs)


def sync(
    references: References = None,
    remote: RemoteOption = None,
    with_inputs: WithInputsOption = False,
    store: StoreOption = Path("store"),
) -> None:
    """Push what only the store has, and pull what only the remote has."""
    _exchange(Store(store, remote=_required(remote)).sync, references, with_inputs)


def _required(remote: str | None) -> str:
    if not remote:
        raise InputError(f"no remote is named: use --remote URL or {REMOTE_VARIABLE}")
    return remote


def _exchange(transfer: Callable[..., Exchanged], references: list[str] | None, with_inputs: bool) -> None:
    started = time.perf_counter()
    exchanged = transfer(references or None, with_inputs=with_inputs, open_bar=make_progress().bar)
    _print(exchanged, time.perf_counter() - started)


def _print(exchanged: Exchanged, seconds: float) -> None:
    moved = [transfer for transfer in exchanged.versions if transfer.action != "there"]
    rows = [
        (one.reference, one.action, str(one.files), format_bytes(one.bytes), format_seconds(one.seconds))
        for one in moved
    ]
    print_table(("artifact", "what", "files", "size", "took"), rows)
    for tag, version in exchanged.tags.items():
        print(f"tag {tag} is {version} on both sides")
    for tag in exchanged.differing:
        print(f"tag {tag} names another version in the remote: push or pull the one that is right")
    size = format_bytes(sum(one.bytes for one in moved))
    there = len(exchanged.versions) - len(moved)
    print(f"{len(moved)} versions, {size} in {format_seconds(seconds)}; {there} were there already")
