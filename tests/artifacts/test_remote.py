"""Stores that share artifacts through a remote: nothing half-pushed is seen, and nothing damaged is taken."""

import itertools
import signal
import sys
import uuid
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

import fsspec
import pytest
from store_processes import pull_and_die, push_and_die, push_when_told
from thing import recipe, writer

from artifacts import (
    Artifact,
    DamagedError,
    FormatError,
    FullDiskError,
    NotFoundError,
    RemoteError,
    Store,
    StoreError,
    UnreachableError,
)


@pytest.fixture(params=["folder", "memory"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "remote") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/remote"


def fail(folder: Path) -> dict[str, int]:
    raise AssertionError(f"built again in {folder}")


def files_of(artifact: Artifact) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in artifact.path.iterdir()}


def versions(store: Store) -> set[str]:
    return {manifest.version for manifest in store.list()}


def test_what_one_store_pushes_another_pulls(tmp_path: Path, remote: str) -> None:
    here, there = Store(tmp_path / "here", remote=remote), Store(tmp_path / "there", remote=remote)
    artifact = Store(here.root).build(recipe(), writer()).artifact

    (pushed,) = here.push().versions
    (pulled,) = there.pull().versions

    sizes = [record.bytes for record in artifact.manifest.files.values()]
    assert (pushed.reference, pushed.action, pushed.files, pushed.bytes) == (
        artifact.reference,
        "pushed",
        len(sizes),
        sum(sizes),
    )
    assert (pulled.action, pulled.files, pulled.bytes) == ("pulled", len(sizes), sum(sizes))
    assert files_of(there.resolve(artifact.reference)) == files_of(artifact)
    assert there.verify() == []
    assert not any((there.root / "temporary").iterdir())
    assert [transfer.action for transfer in (*here.push().versions, *there.pull().versions)] == ["there", "there"]


def test_versions_are_named_as_in_a_store(tmp_path: Path, remote: str) -> None:
    here, there = Store(tmp_path / "here", remote=remote), Store(tmp_path / "there", remote=remote)
    first = Store(here.root).build(recipe(1), writer([1])).artifact
    second = Store(here.root).build(recipe(2), writer([2])).artifact
    here.push([first.reference])
    with pytest.raises(NotFoundError, match=f"thing:{second.version} names no artifact in .*, which has thing"):
        there.pull([second.reference])
    here.push()

    there.pull([f"thing:{first.version[:8]}"])
    assert versions(there) == {first.version}
    there.pull(["thing"])
    assert versions(there) == {first.version, second.version}, "the newest of the kind"


def test_inputs_come_along_when_asked(tmp_path: Path, remote: str) -> None:
    here = Store(tmp_path / "here", remote=remote)
    build = Store(here.root).build
    a = build(recipe(1), writer([1])).artifact
    b = build(recipe(2, inputs={"a": a}), writer([2])).artifact
    c = build(recipe(3, inputs={"b": b}), writer([3])).artifact
    build(recipe(4), writer([4]))

    assert [one.reference for one in here.push([c.reference]).versions] == [c.reference]
    pushed = here.push([c.reference], with_inputs=True).versions
    assert [one.reference for one in pushed] == [a.reference, b.reference, c.reference], "what others need goes first"

    alone, whole = Store(tmp_path / "alone", remote=remote), Store(tmp_path / "whole", remote=remote)
    alone.pull([c.reference])
    assert versions(alone) == {c.version}
    whole.pull([c.reference], with_inputs=True)
    assert versions(whole) == {a.version, b.version, c.version}
    assert whole.lineage(c).inputs["b"].inputs["a"].manifest is not None


def test_tags_go_with_their_versions(tmp_path: Path, remote: str) -> None:
    here, there = Store(tmp_path / "here", remote=remote), Store(tmp_path / "there", remote=remote)
    old = Store(here.root).build(recipe(1), writer([1])).artifact
    new = Store(here.root).build(recipe(2), writer([2])).artifact
    here.tag(old, "production")

    assert here.push([new.reference]).tags == {}, "a tag of another version was pushed"
    assert here.push().tags == {"thing:production": old.version}
    assert there.pull().tags == {"thing:production": old.version}
    assert there.tags() == here.tags()

    here.tag(new, "production")
    there.tag(there.resolve(old.reference), "baseline")
    exchanged = there.sync()
    assert exchanged.tags == {"thing:baseline": old.version}
    here.push()
    assert here.sync().tags == {"thing:baseline": old.version}
    exchanged = there.sync()
    assert (exchanged.tags, exchanged.differing) == ({}, ("thing:production",))
    assert there.tags()["thing:production"] == old.version
    there.pull()
    assert there.tags() == here.tags() == {"thing:production": new.version, "thing:baseline": old.version}


def test_sync_pushes_and_pulls(tmp_path: Path, remote: str) -> None:
    here, there = Store(tmp_path / "here", remote=remote), Store(tmp_path / "there", remote=remote)
    ours = Store(here.root).build(recipe(1), writer([1])).artifact
    theirs = Store(there.root).build(recipe(2), writer([2])).artifact
    there.push()

    actions = {
        transfer.reference: transfer.action for transfer in here.sync([ours.reference, theirs.reference]).versions
    }
    assert actions == {ours.reference: "pushed", theirs.reference: "pulled"}
    assert [transfer.action for transfer in there.sync().versions] == ["there", "pulled"]
    assert versions(here) == versions(there) == {ours.version, theirs.version}


def test_store_with_a_remote_pushes_what_it_builds_and_pulls_what_it_lacks(tmp_path: Path, remote: str) -> None:
    here, there = Store(tmp_path / "here", remote=remote), Store(tmp_path / "there", remote=remote)
    upstream = here.build(recipe(1), writer([1])).artifact
    made = here.build(recipe(2, inputs={"a": upstream}), writer([2])).artifact

    again = there.build(recipe(1), fail)
    assert (again.hit, again.artifact.version) == (True, upstream.version)
    explanation = there.explain(recipe(2, inputs={"a": again.artifact}))
    assert (explanation.hit, explanation.version) == (True, made.version)
    assert there.resolve(made.reference).path.is_relative_to(there.root)

    third = Store(tmp_path / "third", remote=remote)
    here.tag(made, "production")
    here.push()
    assert third.resolve("thing:production").version == made.version
    assert third.tags() == {}, "the next look at the tag would not see that it was moved"
    with pytest.raises(NotFoundError, match=r"versions of thing, newest first: .*; thing:nothing names no artifact in"):
        third.resolve("thing:nothing")
    assert not third.build(recipe(3), writer([3])).hit


def test_what_was_built_without_the_remote_is_pushed_on_the_next_hit(tmp_path: Path, remote: str) -> None:
    Store(tmp_path / "here").build(recipe(), writer())
    assert Store(tmp_path / "here", remote=remote).build(recipe(), fail).hit
    assert Store(tmp_path / "there", remote=remote).build(recipe(), fail).hit


def test_damaged_version_is_replaced_by_the_remotes(tmp_path: Path, remote: str) -> None:
    store = Store(tmp_path / "here", remote=remote)
    for mend in (lambda: store.build(recipe(), fail), lambda: store.pull(["thing"])):
        artifact = store.build(recipe(), writer()).artifact
        (artifact.path / "report.md").write_text("changed!\n")
        mend()
        assert store.verify() == []


def test_damaged_version_is_not_pushed(tmp_path: Path, remote: str) -> None:
    store = Store(tmp_path / "here", remote=remote)
    artifact = Store(store.root).build(recipe(), writer()).artifact
    (artifact.path / "report.md").write_text("changed!\n")
    with pytest.raises(DamagedError, match=r"report\.md: its bytes were changed"):
        store.push()
    with pytest.raises(NotFoundError):
        Store(tmp_path / "there", remote=remote).pull(["thing"])


def stored_file(folder: Path) -> Path:
    return max(folder.glob("files/*"), key=lambda path: path.stat().st_size)


def flip_byte(folder: Path) -> None:
    data = bytearray(stored_file(folder).read_bytes())
    data[len(data) // 2] ^= 1
    stored_file(folder).write_bytes(data)


def truncate(folder: Path) -> None:
    stored_file(folder).write_bytes(stored_file(folder).read_bytes()[:-1])


def delete_file(folder: Path) -> None:
    stored_file(folder).unlink()


def edit_manifest(folder: Path) -> None:
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace('"rows": 3', '"rows": 4'))


def lead_out_of_the_folder(folder: Path) -> None:
    from artifacts.manifest import parse_manifest

    text = (folder / "manifest.json").read_text().replace('"report.md"', '"../../../report.md"')
    (folder / "manifest.json").write_text(parse_manifest(text.encode(), "here").sealed().text())


DAMAGES = {
    flip_byte: r"rows\.parquet: .*/files/[0-9a-f]{64} is damaged: its bytes were changed.*push the version again",
    truncate: r"rows\.parquet: .* is damaged: expected \d+ bytes, found \d+",
    delete_file: r"/files/[0-9a-f]{64} is missing",
    edit_manifest: r"manifest\.json: it was changed after it was published",
    lead_out_of_the_folder: r"manifest\.json: it names files outside of the version's folder",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_remote_is_refused_and_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    remote = tmp_path / "remote"
    here, there = Store(tmp_path / "here", remote=str(remote)), Store(tmp_path / "there", remote=str(remote))
    reference = here.build(recipe(), writer()).artifact.reference
    (folder,) = remote.glob("artifacts/thing/*")
    damage(folder)

    with pytest.raises(DamagedError, match=DAMAGES[damage]):
        there.pull([reference])
    with pytest.raises(DamagedError, match=DAMAGES[damage]):
        there.resolve(reference)
    assert there.list() == []
    assert not any(there.root.glob("temporary/*"))
    assert not (there.root / "report.md").exists()

    if damage is flip_byte:  # of the right size: only who reads it can tell
        stored_file(folder).unlink()
    here.push()
    there.pull([reference])
    assert there.verify() == []


def test_same_version_with_other_bytes_where_they_do_not_count(tmp_path: Path, remote: str) -> None:
    one, other = Store(tmp_path / "one", remote=remote), Store(tmp_path / "other", remote=remote)
    first = Store(one.root).build(recipe(), writer(report="# Made here\n")).artifact
    second = Store(other.root).build(recipe(), writer(report="# Made there\n")).artifact
    assert first.version == second.version

    one.push()
    assert [transfer.action for transfer in other.push().versions] == ["there"]
    third = Store(tmp_path / "third", remote=remote)
    third.pull()
    assert files_of(third.resolve("thing")) == files_of(first)


def test_pushes_of_one_version_at_once_are_harmless(tmp_path: Path, processes: ForkServerContext) -> None:
    remote = tmp_path / "remote"
    pushers = []
    for number in range(4):
        root = tmp_path / f"store-{number}"
        Store(root).build(recipe(), writer(report=f"# Made in {number % 2}\n"))
        listen, start = processes.Pipe(duplex=False)
        result, tell = processes.Pipe(duplex=False)
        process = processes.Process(target=push_when_told, args=(root, remote, listen, tell))
        process.start()
        pushers.append((process, start, result))
    for _, start, _ in pushers:
        start.send(None)
    actions = [result.recv() for _, _, result in pushers]
    for process, _, _ in pushers:
        process.join()

    assert ["pushed"] in actions
    assert all(action in (["pushed"], ["there"]) for action in actions)
    store = Store(tmp_path / "store", remote=str(remote))
    store.pull()
    assert store.verify() == []
    assert len(store.list()) == 1


def test_what_is_there_is_not_moved_again(tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    here, there = Store(tmp_path / "here", remote=str(remote)), Store(tmp_path / "there", remote=str(remote))
    artifact = here.build(recipe(), writer()).artifact
    (folder,) = remote.glob("artifacts/thing/*")
    (folder / "manifest.json").unlink()
    stored_file(folder).unlink()
    rest = there.root / "temporary" / recipe().key
    rest.mkdir(parents=True)
    (rest / "notes.json").write_bytes(artifact.file("notes.json").read_bytes())

    (pushed,) = here.push().versions
    assert (pushed.files, pushed.bytes) == (1, artifact.manifest.files["rows.parquet"].bytes)
    (pulled,) = there.pull().versions
    assert (pulled.files, files_of(there.resolve("thing"))) == (2, files_of(artifact))


def test_killed_push_shows_nothing_and_goes_on(tmp_path: Path, processes: ForkServerContext) -> None:
    store = Store(tmp_path / "store")
    files = len(store.build(recipe(), writer()).artifact.manifest.files)
    sent = set()
    for operation in itertools.count(1):
        remote = tmp_path / f"remote-{operation}"
        process = processes.Process(target=push_and_die, args=(store.root, remote, operation))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        seen = Store(tmp_path / f"seen-{operation}", remote=str(remote))
        visible = any(remote.glob("artifacts/*/*/manifest.json"))
        if visible:
            seen.pull()
            assert len(seen.list()) == 1
        else:
            with pytest.raises(StoreError, match=r"names no artifact|nothing was pushed yet"):
                seen.pull(["thing"])
        (transfer,) = Store(store.root, remote=str(remote)).push().versions
        sent.add(transfer.files)
        seen.pull()
        assert seen.verify() == []
        assert len(seen.list()) == 1
        assert visible or not list(remote.rglob("artifacts/**/.*")), "the rest of the killed push was not cleared up"
    assert operation > 10, "the process ended before it pushed anything"
    assert {0, files} <= sent, "killed before the first file, and before the manifest"


def test_killed_pull_shows_nothing_and_goes_on(tmp_path: Path, processes: ForkServerContext) -> None:
    remote = tmp_path / "remote"
    artifact = Store(tmp_path / "store", remote=str(remote)).build(recipe(), writer()).artifact
    fetched = set()
    for operation in itertools.count(1):
        root = tmp_path / f"store-{operation}"
        process = processes.Process(target=pull_and_die, args=(root, remote, operation))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        store = Store(root, remote=str(remote))
        assert store.verify() == []
        assert len(store.list()) == len(list(root.glob("artifacts/*/*")))
        (transfer,) = store.pull().versions
        fetched.add(transfer.files)
        assert files_of(store.resolve("thing")) == files_of(artifact)
        assert not any(root.glob("temporary/*"))
    assert operation > 15, "the process ended before it pulled anything"
    assert {0, len(artifact.manifest.files)} <= fetched, "killed before the first file, and before the manifest"


def test_rest_of_a_killed_build_is_no_part_of_what_is_pulled(tmp_path: Path, remote: str) -> None:
    Store(tmp_path / "here", remote=remote).build(recipe(), writer())
    store = Store(tmp_path / "there", remote=remote)
    rest = store.root / "temporary" / recipe().key
    rest.mkdir(parents=True)
    (rest / "half").write_text("x")
    (rest / "report.md").write_text("x")
    store.pull()
    assert store.verify() == []


def test_full_remote_says_so_and_goes_on(tmp_path: Path, small_disk: Path) -> None:
    remote = small_disk / "remote"
    store = Store(tmp_path / "store", remote=str(remote))
    with pytest.raises(UnreachableError, match=r"No space left on device.*thing:[0-9a-f]{12} is in the store"):
        store.build(recipe(), lambda folder: _with_big_file(folder, 2**20))
    seen = Store(tmp_path / "seen", remote=str(remote))
    with pytest.raises(NotFoundError):
        seen.pull(["thing"])
    store.build(recipe(2), writer())
    seen.pull()
    assert seen.verify() == []
    assert len(seen.list()) == 1


def test_full_store_is_named_and_leaves_nothing(tmp_path: Path, small_disk: Path) -> None:
    remote = str(tmp_path / "remote")
    Store(tmp_path / "store", remote=remote).build(recipe(), lambda folder: _with_big_file(folder, 2**20))
    store = Store(small_disk / "store", remote=remote)
    with pytest.raises(FullDiskError, match="no room to write in the store"):
        store.pull()
    assert store.list() == []
    assert not any(store.root.glob("temporary/*"))


def _with_big_file(folder: Path, size: int) -> dict[str, int]:
    summary = writer()(folder)
    (folder / "big.bin").write_bytes(bytes(size))
    return summary


def test_url_that_is_no_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    store.build(recipe(), writer())

    def refused(url: str, error: type[StoreError], match: str, push: bool = True) -> None:
        opened = Store(store.root, remote=url)
        with pytest.raises(error, match=match) as caught:
            opened.push() if push else opened.pull()
        assert type(caught.value) is error, "the same again would fail again"
        assert "hunter2" not in str(caught.value)

    refused(str(tmp_path / "nowhere"), RemoteError, "nowhere: no remote is here.*check the URL", push=False)
    assert not (tmp_path / "nowhere").exists()
    refused("foo://user:hunter2@host/x", RemoteError, "foo://host/x: Protocol not known: foo")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    refused("gs://bucket/x", RemoteError, r"gs://bucket/x: .*gcsfs.*pip install 'prolab-pipeline\[gs\]'")
    refused(str(store.root), FormatError, "is a store itself: a remote needs a folder of its own")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "remote.json").write_text('{"format": 2}')
    refused(str(tmp_path / "new"), FormatError, "is a remote of format 2; this program knows format 1")
    (tmp_path / "file").touch()
    refused(str(tmp_path / "file"), RemoteError, "file: cannot ")
    with pytest.raises(StoreError, match="was opened without a remote"):
        store.push()


@pytest.mark.slow
def test_two_stores_on_one_bucket(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Store(tmp_path / "here", remote=s3), Store(tmp_path / "there", remote=s3)
    upstream = here.build(recipe(1), lambda folder: _with_big_file(folder, 12_000_000)).artifact
    made = here.build(recipe(2, inputs={"a": upstream}), writer([2])).artifact
    here.tag(made, "production")
    here.push()

    pulled = there.build(recipe(1), fail).artifact
    assert files_of(pulled) == files_of(upstream)
    assert there.build(recipe(2, inputs={"a": pulled}), fail).hit
    assert there.pull().tags == {"thing:production": made.version}
    assert there.verify() == []

    files = fsspec.filesystem("s3", skip_instance_cache=True)
    name = max(upstream.manifest.files.values(), key=lambda record: record.bytes).blake3
    (path,) = files.glob(f"bucket/prolab/artifacts/thing/*/files/{name}")
    files.pipe_file(path, bytes(11_999_999) + b"x")
    third = Store(tmp_path / "third", remote=s3)
    with pytest.raises(DamagedError, match=rf"big\.bin: {s3}/artifacts/thing/.*/files/{name} is damaged"):
        third.resolve(upstream.reference)
    assert third.list() == []
    files.rm_file(path)
    (again, other) = here.push().versions
    assert (again.action, again.files, other.action) == ("pushed", 1, "there")
    assert third.resolve(upstream.reference).version == upstream.version

    with pytest.raises(RemoteError, match=r"s3://nowhere/x: cannot write"):
        Store(here.root, remote="s3://nowhere/x").push()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(RemoteError, match="NoCredentialsError") as caught:
        Store(here.root, remote=s3).push()
    assert not isinstance(caught.value, UnreachableError), "to try again would not help"
    assert "hunter2" not in str(caught.value)
