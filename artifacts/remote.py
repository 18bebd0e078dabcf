"""A remote: the bucket or shared folder through which stores exchange versions.

    remote.json                                          the format
    artifacts/<kind>/<version>-<key>/files/<blake3>      the files of a version, named by their hashes
    artifacts/<kind>/<version>-<key>/manifest.json       written last: without it the version is not there yet
    tags/<kind>/<tag>                                    version that the tag names

Two machines can make the same version with different bytes where they do not count, in a log for instance. Since a
file is named by its hash, neither overwrites what the other sends, and whichever manifest comes last has all its files.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem

from artifacts.disk import full_disk_named
from artifacts.durable import fsync
from artifacts.errors import DamagedError, FormatError, NotFoundError, RemoteError, StoreError, UnreachableError
from artifacts.integrity import check_manifest
from artifacts.layout import FORMAT, MANIFEST, version_folder
from artifacts.manifest import FileRecord, Manifest, parse_manifest
from artifacts.pointers import LATEST, check_tag_name

log = logging.getLogger(__name__)

_MARKER = "remote.json"
THREADS = 8
"""How many requests are under way at once."""

_UNFINISHED = "."

_REFUSALS = (PermissionError, FileNotFoundError, NotADirectoryError)
# Errors of logins have no base in common either: NoCredentialsError (S3), DefaultCredentialsError (GCS),
# ClientAuthenticationError (Azure).
_LOGIN_ERROR = re.compile("Credential|Authentication")

# What is uploaded to these is seen when it is whole; elsewhere it is written under another name and then renamed.
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az"}

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Do the work for each item, several at a time; the first error ends it."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


class Remote:
    """Versions at a URL that fsspec knows. Nothing is asked of it before it is first used."""

    def __init__(self, url: str) -> None:
        """Name the remote: `s3://bucket/prefix`, `gs://...`, `az://...` or a folder."""
        self._location = url
        self.url = _without_password(url).rstrip("/")
        self._opened = False

    def open(self, *, create: bool) -> None:
        """Look whether a remote is there, and make one if `create` says so.

        Raises:
            RemoteError: there is none, or it cannot be reached; why is said.
            FormatError: it was written in a newer format, or is something else.
        """
        if self._opened:
            return
        text = self._read(_MARKER)
        if text is None:
            if not create:
                raise RemoteError(f"{self.url}: no remote is here, since nothing was pushed yet: check the URL")
            if self._read("store.json") is not None:
                raise FormatError(f"{self.url} is a store itself: a remote needs a folder of its own")
            text = json.dumps({"format": FORMAT}).encode()
            self._write(_MARKER, text)
        try:
            written = json.loads(text)["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f'{self.url}/{_MARKER}: expected {{"format": {FORMAT}}}, got {text!r}') from error
        if written != FORMAT:
            raise FormatError(
                f"{self.url} is a remote of format {written}; this program knows format {FORMAT}: use the newer program"
            )
        self._opened = True

    def manifests(self) -> list[Manifest]:
        """Manifests of all versions, newest first; an unreadable one is logged and left out."""
        return [manifest for kind in self._names("artifacts") for manifest in self._of_kind(kind)]

    def find(self, kind: str, key: str) -> Manifest | None:
        """Manifest of the newest version with this key."""
        ending = version_folder("", key)
        folders = [folder for folder in self._names(f"artifacts/{kind}") if folder.endswith(ending)]
        return next((one for one in self._newest_first(kind, folders) if one.key == key), None)

    def resolve(self, reference: str) -> Manifest:
        """Manifest of the version that a reference names; `kind` and `kind:latest` are the newest of the kind here.

        Raises:
            NotFoundError: it names no version, or more than one.
            DamagedError: the manifest is not what was pushed.
        """
        kind, _, name = reference.partition(":")
        if name in ("", LATEST):
            found = self._of_kind(kind)[:1]
        else:
            start = self._tag(kind, name) or name
            folders = [folder for folder in self._names(f"artifacts/{kind}") if folder.startswith(start)]
            found = [manifest for folder in folders if (manifest := self._manifest(kind, folder))]
        if len(found) > 1:
            raise NotFoundError(f"{reference} is ambiguous in {self.url}: {', '.join(one.version for one in found)}")
        if not found:
            kinds = ", ".join(self._names("artifacts")) or "nothing"
            raise NotFoundError(f"{reference} names no artifact in {self.url}, which has {kinds}")
        return found[0]

    def has(self, manifest: Manifest) -> bool:
        """Whether the version is there, with every file in its full size."""
        try:
            there = self._manifest(manifest.kind, version_folder(manifest.version, manifest.key))
        except DamagedError:
            return False
        if there is None:
            return False
        sizes = self.sizes(manifest)
        return all(sizes.get(record.blake3) == record.bytes for record in there.files.values())

    def sizes(self, manifest: Manifest) -> dict[str, int]:
        """Bytes of each file of the version that is there, by its hash."""
        with self._errors_named("list what it has"):
            try:
                entries = self._files.ls(self._path(_folder(manifest), "files"), detail=True)
            except FileNotFoundError:
                return {}
        return {_name(entry["name"]): entry["size"] for entry in entries}

    def send(self, manifest: Manifest, record: FileRecord, path: Path, advance: Callable[[int], None]) -> None:
        """Send one file of a version; `advance` is told of the bytes as they go."""
        counter = _Counter(advance)
        self._place(
            self._path(_folder(manifest), "files", record.blake3),
            lambda target: self._files.put_file(str(path), target, callback=counter),
        )
        counter.complete(record.bytes)

    def fetch(
        self, manifest: Manifest, record: FileRecord, path: Path, root: Path, advance: Callable[[int], None]
    ) -> None:
        """Fetch one file of a version into the store at `root`.

        Raises:
            DamagedError: it is missing.
            FullDiskError: the disk of the store ran full.
        """
        counter = _Counter(advance)
        source = self._path(_folder(manifest), "files", record.blake3)
        with self._errors_named(f"fetch {manifest.reference}"):
            try:
                with full_disk_named(root):
                    self._files.get_file(source, str(path), callback=counter)
            except FileNotFoundError as error:
                url = self.file_url(manifest, record)
                raise DamagedError(
                    f"{url} is missing; push {manifest.reference} again from a store that has it"
                ) from error
        counter.complete(record.bytes)

    def file_url(self, manifest: Manifest, record: FileRecord) -> str:
        """Where a file of a version lies."""
        return f"{self.url}/{_folder(manifest)}/files/{record.blake3}"

    def finish(self, manifest: Manifest) -> None:
        """Make a version visible whose files are all there, and clear away what pushes that were killed left of it."""
        self._write(f"{_folder(manifest)}/{MANIFEST}", manifest.text().encode())
        if self._shows_whole_files:
            return
        for folder in (_folder(manifest), f"{_folder(manifest)}/files"):
            for name in self._names(folder, unfinished=True):
                # Another push of the version that still writes this finds the version complete, and is content.
                with suppress(FileNotFoundError), self._errors_named("clear up"):
                    self._files.rm_file(self._path(folder, name))

    def tags(self) -> dict[str, str]:
        """Version of each tag, by reference `kind:tag`."""
        names = [(kind, name) for kind in self._names("tags") for name in self._names(f"tags/{kind}")]
        versions = in_parallel(lambda tag: self._tag(*tag), names)
        return {f"{kind}:{name}": version for (kind, name), version in zip(names, versions, strict=True) if version}

    def set_tag(self, reference: str, version: str) -> None:
        """Let the tag `kind:tag` name this version."""
        kind, _, name = reference.partition(":")
        self._write(f"tags/{kind}/{name}", f"{version}\n".encode())

    def _tag(self, kind: str, name: str) -> str | None:
        try:
            check_tag_name(name)
        except StoreError:  # a version, or what is neither
            return None
        text = self._read(f"tags/{kind}/{name}")
        return text.decode(errors="replace").strip() if text else None

    def _of_kind(self, kind: str) -> list[Manifest]:
        return self._newest_first(kind, self._names(f"artifacts/{kind}"))

    def _newest_first(self, kind: str, folders: Iterable[str]) -> list[Manifest]:
        def read(folder: str) -> Manifest | None:
            try:
                return self._manifest(kind, folder)
            except DamagedError as error:
                log.warning("left out: %s", error)
                return None

        found = [manifest for manifest in in_parallel(read, folders) if manifest]
        return sorted(found, key=lambda manifest: manifest.created, reverse=True)

    def _manifest(self, kind: str, folder: str) -> Manifest | None:
        """The manifest in a version's folder; None while the version is being pushed."""
        path = f"artifacts/{kind}/{folder}/{MANIFEST}"
        text = self._read(path)
        if text is None:
            return None
        manifest = parse_manifest(text, f"{self.url}/{path}")
        what = check_manifest(manifest, kind, folder.partition("-")[0])
        if what:
            raise DamagedError(f"{self.url}/{path}: {what}")
        return manifest

    @cached_property
    def _opened_location(self) -> tuple[Any, str]:
        try:
            # Listings are not remembered: others push meanwhile.
            files, root = fsspec.core.url_to_fs(self._location, use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            extra = _EXTRAS.get(self._location.partition(":")[0])
            way_out = f": pip install 'prolab-pipeline[{extra}]'" if extra else ""
            raise RemoteError(f"{self.url}: {error}{way_out}") from error
        except Exception as error:
            raise RemoteError(f"{self.url}: {_without_password(str(error))}") from error
        return files, root.rstrip("/")

    @property
    def _files(self) -> Any:
        return self._opened_location[0]

    @property
    def _shows_whole_files(self) -> bool:
        """Whether a file is seen only when all of it has been written."""
        protocols = self._files.protocol
        return not _OBJECT_STORES.isdisjoint([protocols] if isinstance(protocols, str) else protocols)

    def _path(self, *parts: str) -> str:
        return "/".join((self._opened_location[1], *parts))

    def _read(self, name: str) -> bytes | None:
        with self._errors_named(f"read {name}"):
            try:
                return bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def _names(self, folder: str, *, unfinished: bool = False) -> list[str]:
        """Names in a folder, in alphabetical order: of what is there, or of what is not finished."""
        with self._errors_named("list what it has"):
            try:
                paths = self._files.ls(self._path(folder), detail=False)
            except (FileNotFoundError, NotADirectoryError):
                return []
        names = sorted(filter(None, map(_name, paths)))
        return [name for name in names if name.startswith(_UNFINISHED) == unfinished]

    def _write(self, name: str, data: bytes) -> None:
        self._place(self._path(name), lambda target: self._files.pipe_file(target, data))

    def _place(self, path: str, write: Callable[[str], None]) -> None:
        """Let `write` make a file that is seen when it is whole."""
        with self._errors_named("write"):
            if self._shows_whole_files:
                write(path)
                return
            parent = path.rpartition("/")[0]
            self._files.makedirs(parent, exist_ok=True)
            unfinished = f"{parent}/{_UNFINISHED}{uuid.uuid4().hex}"
            on_disk = isinstance(self._files, LocalFileSystem)
            try:
                write(unfinished)
                if on_disk:
                    fsync(Path(unfinished))
                self._files.mv(unfinished, path)
            except BaseException:
                with suppress(FileNotFoundError):
                    self._files.rm_file(unfinished)
                raise
            if on_disk:
                fsync(Path(parent))

    @contextmanager
    def _errors_named(self, purpose: str) -> Iterator[None]:
        """Raise `RemoteError` for whatever the remote's library raises: these have no base in common."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            text = _without_password(str(error))
            refused = isinstance(error, _REFUSALS) or _LOGIN_ERROR.search(type(error).__name__)
            kind = RemoteError if refused else UnreachableError
            raise kind(f"{self.url}: cannot {purpose}: {type(error).__name__}: {text}") from error


class _Counter(fsspec.Callback):
    """Passes on the bytes of one file; not every file system tells of them on the way."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._advance = advance
        self._told = 0

    def relative_update(self, inc: int = 1) -> None:
        self._told += inc
        self._advance(inc)

    def complete(self, size: int) -> None:
        """Tell of what was not told yet."""
        self._advance(max(0, size - self._told))


def _folder(manifest: Manifest) -> str:
    return f"artifacts/{manifest.kind}/{version_folder(manifest.version, manifest.key)}"


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*:[^/@\s]*@", "//", text)
