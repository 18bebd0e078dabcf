"""The store: what the rest of the project calls. The work is done in the modules that it names."""

from __future__ import annotations

import builtins
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from artifacts import garbage, lineage, pointers
from artifacts.artifact import Artifact
from artifacts.canonical import JSON
from artifacts.comparison import Change, Explanation, compare, compare_key
from artifacts.disk import full_disk_named
from artifacts.errors import DamagedError, NotFoundError, ReadOnlyError, RemoteError, StoreError
from artifacts.file_hashes import FileHashes
from artifacts.garbage import Garbage
from artifacts.integrity import Problem, check
from artifacts.layout import Layout
from artifacts.lineage import Lineage
from artifacts.locks import collection_lock, key_lock, key_lock_if_free
from artifacts.manifest import Manifest
from artifacts.manifests import Manifests
from artifacts.quarantine import quarantine
from artifacts.recipe import Recipe

if TYPE_CHECKING:
    from artifacts.exchange import Exchange, Exchanged
    from artifacts.remote import Remote
    from artifacts.transfer import OpenBar, Transfer

log = logging.getLogger(__name__)


class Built(NamedTuple):
    """What `Store.build` returns: the artifact, and whether it was there already."""

    artifact: Artifact
    hit: bool


class Store:
    """Artifacts in the folder `root`.

    With a remote, what the store lacks is looked for there and pulled, and what `build` returns is there, too.
    """

    def __init__(self, root: Path, remote: str | None = None) -> None:
        """Open the store, or make it.

        Args:
            root: its folder.
            remote: URL of the remote that it shares artifacts through (see `artifacts.remote`).

        Raises:
            FormatError: the store was written in a newer format, or the folder holds something else.
        """
        self._remote_url = remote
        self._layout = Layout(Path(root).absolute())
        self._layout.open()
        self._manifests = Manifests(self._layout)

    @property
    def root(self) -> Path:
        """Folder of the store."""
        return self._layout.root

    @property
    def remote_url(self) -> str | None:
        """Where the remote is, without the password that may be in its URL; None without one."""
        return self._remote.url if self._remote else None

    @cached_property
    def file_hashes(self) -> FileHashes:
        """Hashes of files outside the store, remembered in the store."""
        return FileHashes(self.root / "file_hashes.jsonl")

    def find(self, recipe: Recipe) -> Artifact | None:
        """Return the newest artifact with the recipe's key whose every byte is as it was published.

        Damaged ones are logged and moved to quarantine, so they are never read.

        Raises:
            RemoteError: the store has none, and its remote cannot be asked.
            DamagedError: the store has none, and the remote's is damaged.
        """
        artifact, damaged = self._search(recipe)
        if damaged and self._layout.writable:
            with key_lock_if_free(self._layout.key_lock(recipe.key)) as free:
                if free:  # otherwise a build of this key runs and does it
                    self._quarantine(damaged)
        return artifact or self._pull_made_by(recipe)

    def has(self, recipe: Recipe) -> bool:
        """Whether an artifact of the recipe's kind and key is here, be it intact or not; its content is not read."""
        return bool(self._layout.versions_of_key(recipe.kind.name, recipe.key))

    def build(self, recipe: Recipe, write: Callable[[Path], Mapping[str, JSON]], *, force: bool = False) -> Built:
        """Return the artifact with the recipe's key; if there is none, let `write` make it and publish it.

        Of several processes that want the same artifact one builds it, the others wait and find it.

        Args:
            recipe: what decides the artifact.
            write: writes the files into the empty folder it is given and returns headline figures.
            force: build even if there is one. The same content gives the same version again.

        Raises:
            ValidationError: what `write` wrote or returned is not what the kind declares.
            FullDiskError: the disk ran full.
            ReadOnlyError: the store cannot be written to.
            RemoteError: the remote cannot be asked, or does not take the artifact, which then is in the store.
        """
        artifact = None if force else self.find(recipe)
        if artifact:
            self._set_latest(artifact)
            built = Built(artifact, hit=True)
        else:
            self._require_writable(f"publish what {recipe.stage} makes")
            with full_disk_named(self.root), key_lock(self._layout.key_lock(recipe.key), recipe.stage):
                built = self._build_locked(recipe, write, force=force)
        self._push_built(built.artifact)
        return built

    def _build_locked(self, recipe: Recipe, write: Callable[[Path], Mapping[str, JSON]], *, force: bool) -> Built:
        # publish needs pyarrow, whose import takes longer than everything that a hit needs.
        from artifacts.publish import publish

        artifact, damaged = self._search(recipe)
        self._quarantine(damaged)
        hit = artifact is not None and not force
        if artifact is None or force:
            artifact = publish(self._layout, recipe, write)
        shutil.rmtree(self._layout.workspace(recipe.key), ignore_errors=True)
        self._set_latest(artifact)
        return Built(artifact, hit)

    def _search(self, recipe: Recipe) -> tuple[Artifact | None, builtins.list[Path]]:
        """The newest intact artifact with the recipe's key, and the folders of the damaged ones met before it."""
        candidates, damaged = [], []
        with collection_lock(self._layout.collection_lock):
            for folder in self._layout.versions_of_key(recipe.kind.name, recipe.key):
                try:
                    candidates.append(Artifact(folder))
                except DamagedError:
                    damaged.append(folder)
        for artifact in sorted(candidates, key=lambda artifact: artifact.manifest.created, reverse=True):
            if check(artifact.path):
                damaged.append(artifact.path)
            elif artifact.manifest.key == recipe.key:
                return artifact, damaged
        return None, damaged

    def _quarantine(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            quarantine(self._layout, folder)

    def _set_latest(self, artifact: Artifact) -> None:
        if self._layout.writable:
            pointers.set_latest(self._layout, artifact.manifest)

    def resolve(self, reference: str) -> Artifact:
        """Return the artifact that a reference names.

        Args:
            reference: `kind` or `kind:latest` (what the last build of this kind gave), `kind:tag`, or
                `kind:version`, where the first digits of the version are enough. What the store has of this name
                comes before what its remote has.

        Raises:
            NotFoundError: it names no artifact, or more than one; the message lists what there is.
            DamagedError: its files are not what was published.
            RemoteError: the store does not have it, and its remote cannot be asked.
        """
        try:
            artifact = self._open(reference)
        except NotFoundError as error:
            return self._pull_named(reference, error)
        problems = check(artifact.path)
        if problems:
            raise DamagedError("; ".join(map(str, problems)))
        return artifact

    def _open(self, reference: str) -> Artifact:
        with collection_lock(self._layout.collection_lock):
            return Artifact(pointers.resolve(self._layout, self._manifests, reference))

    def list(self, kind: str | None = None) -> builtins.list[Manifest]:
        """Manifests of one kind or of all, newest first. An unreadable one is logged and left out."""
        return self._manifests.newest_first(kind)

    def explain(self, recipe: Recipe) -> Explanation:
        """Say whether `build` would be a hit and, if not, what differs from the stage's newest artifact.

        Nothing in the store is changed, but that what only the remote has is pulled.
        """
        artifact, damaged = self._search(recipe)
        artifact = artifact or self._pull_made_by(recipe)
        if artifact:
            return Explanation(True, artifact.version)
        if damaged:
            problems = [str(problem) for folder in damaged for problem in check(folder)]
            return Explanation(False, damaged[0].name.partition("-")[0], tuple(problems))
        for manifest in self.list(recipe.kind.name):
            if manifest.stage == recipe.stage:
                return Explanation(False, manifest.version, tuple(map(str, compare_key(manifest, recipe))))
        return Explanation(False, None, (f"{recipe.stage} has not run yet",))

    def diff(self, before: Artifact, after: Artifact) -> builtins.list[Change]:
        """Differences between two artifacts: parts of the key, summary, files."""
        return compare(before.manifest, after.manifest)

    def verify(self, references: Iterable[str] | None = None) -> builtins.list[Problem]:
        """Check every byte of the named artifacts, or of all; an empty list means that all is well.

        Raises:
            NotFoundError: a reference names no artifact.
        """
        if references is None:
            kinds = self._layout.kinds()
            folders = [folder for kind in kinds for folder in self._layout.versions(kind).values()]
        else:
            folders = [pointers.resolve(self._layout, self._manifests, reference) for reference in references]
        return [problem for folder in folders for problem in check(folder)]

    def lineage(self, artifact: Artifact) -> Lineage:
        """The versions that the artifact was made of, as a tree."""
        return lineage.upstream(artifact.manifest, self._manifests.find)

    def dependants(self, artifact: Artifact) -> builtins.list[Manifest]:
        """Manifests of all versions that were made of the artifact, directly or not, in the order of making."""
        return lineage.downstream(artifact.manifest, self.list())

    def tag(self, artifact: Artifact, name: str) -> None:
        """Name a version: `kind:name` resolves to it, and garbage collection keeps it and what it was made of.

        Raises:
            StoreError: the name is no good for a tag.
        """
        self._require_writable("tag a version")
        pointers.set_tag(self._layout, artifact.manifest, name)

    def untag(self, reference: str) -> None:
        """Remove the tag `kind:name`.

        Raises:
            NotFoundError: there is no such tag.
        """
        self._require_writable("remove a tag")
        pointers.remove_tag(self._layout, reference)

    def tags(self) -> dict[str, str]:
        """Version of each tag, by reference `kind:name`."""
        return pointers.tags(self._layout)

    def collect_garbage(self, *, keep_latest: int = 1, dry_run: bool = True) -> builtins.list[Garbage]:
        """Find what nobody needs and, unless it is a dry run, delete it (see `artifacts.garbage`).

        Args:
            keep_latest: how many of the newest versions of each kind are kept in any case.
            dry_run: only say what would be deleted.
        """
        self._require_writable("collect garbage")
        return garbage.collect(self._layout, self._manifests, keep_latest=keep_latest, dry_run=dry_run)

    def push(
        self, references: Iterable[str] | None = None, *, with_inputs: bool = False, open_bar: OpenBar | None = None
    ) -> Exchanged:
        """Send versions to the remote, all if none is named, and their tags.

        Args:
            references: as for `resolve`; looked for in the store.
            with_inputs: also what they were made of.
            open_bar: opens a progress bar for the bytes of one version.

        Raises:
            RemoteError: the remote cannot be reached or does not take them; the next push goes on from there.
            DamagedError: a version is not what was published.
        """
        return self._exchange(open_bar).push(references, with_inputs=with_inputs)

    def pull(
        self, references: Iterable[str] | None = None, *, with_inputs: bool = False, open_bar: OpenBar | None = None
    ) -> Exchanged:
        """Fetch versions from the remote, all if none is named, and their tags; for the arguments see `push`.

        References are looked for in the remote; `kind` is the newest there.

        Raises:
            RemoteError: the remote cannot be reached; the next pull goes on from there.
            DamagedError: a file in the remote is not what was pushed. The versions before it have been pulled.
        """
        self._require_writable("pull")
        return self._exchange(open_bar).pull(references, with_inputs=with_inputs)

    def sync(
        self, references: Iterable[str] | None = None, *, with_inputs: bool = False, open_bar: OpenBar | None = None
    ) -> Exchanged:
        """Push what the store has and pull what it lacks; for arguments and errors see `push` and `pull`."""
        self._require_writable("pull")
        return self._exchange(open_bar).sync(references, with_inputs=with_inputs)

    @cached_property
    def _remote(self) -> Remote | None:
        if self._remote_url is None:
            return None
        # fsspec and its file systems take long to import.
        from artifacts.remote import Remote

        return Remote(self._remote_url)

    def _exchange(self, open_bar: OpenBar | None) -> Exchange:
        from artifacts.exchange import Exchange

        if self._remote is None:
            raise StoreError(f"the store {self.root} was opened without a remote")
        return Exchange(self._layout, self._manifests, self._remote, open_bar or _no_bar)

    def _pull_made_by(self, recipe: Recipe) -> Artifact | None:
        """The remote's newest artifact with the recipe's key."""
        if self._remote is None or not self._layout.writable:
            return None
        self._remote.open(create=True)
        manifest = self._remote.find(recipe.kind.name, recipe.key)
        return self._pull_version(self._remote, manifest) if manifest else None

    def _pull_named(self, reference: str, error: NotFoundError) -> Artifact:
        """The remote's artifact of this name, which the store does not have."""
        if self._remote is None:
            raise error
        self._remote.open(create=True)
        try:
            manifest = self._remote.resolve(reference)
        except NotFoundError as there:
            raise NotFoundError(f"{error}; {there}") from there
        self._require_writable(f"pull {manifest.reference}")
        return self._pull_version(self._remote, manifest)

    def _pull_version(self, remote: Remote, manifest: Manifest) -> Artifact:
        from artifacts.transfer import pull

        artifact, transfer = pull(self._layout, remote, manifest, _no_bar)
        _log(transfer)
        return artifact

    def _push_built(self, artifact: Artifact) -> None:
        """Let the remote have what was built or found."""
        if self._remote is None:
            return
        from artifacts.transfer import push

        try:
            self._remote.open(create=True)
            transfer = push(self._remote, artifact, _no_bar)
        except RemoteError as error:
            raise type(error)(
                f"{error}. {artifact.reference} is in the store {self.root}, but not in the remote: "
                "the next run, or a push, sends what is missing"
            ) from error
        _log(transfer)

    def _require_writable(self, purpose: str) -> None:
        if not self._layout.writable:
            raise ReadOnlyError(f"the store {self.root} is read-only: cannot {purpose}")

    def workspace(self, recipe: Recipe) -> Path:
        """Folder in which an unfinished build keeps what the next one goes on from; gone once it is published.

        It belongs to the `write` that runs in `build`: nobody else may use it.
        """
        return _made(self._layout.workspace(recipe.key))

    def cache(self, name: str) -> Path:
        """Folder for content-keyed, immutable entries that all runs share."""
        return _made(self.root / "cache" / name)


def _log(transfer: Transfer) -> None:
    if transfer.action != "there":
        log.info("%s", transfer)


class _NoBar:
    def advance(self, count: int) -> None:
        pass


def _no_bar(label: str, total: int, unit: str) -> AbstractContextManager[_NoBar]:
    return nullcontext(_NoBar())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
