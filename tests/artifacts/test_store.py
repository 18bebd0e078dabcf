"""Building, finding, naming, explaining and collecting artifacts."""

import logging
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from thing import THING, recipe, writer

from artifacts import DamagedError, FormatError, Kind, NotFoundError, Recipe, Store, StoreError, ValidationError


def fail(folder: Path) -> dict[str, int]:
    raise AssertionError(f"built again in {folder}")


def test_second_build_is_a_hit(store: Store) -> None:
    built = store.build(recipe(), writer())
    again = Store(store.root).build(recipe(), fail)
    assert (built.hit, again.hit) == (False, True)
    assert again.artifact.version == built.artifact.version
    assert again.artifact.table("rows.parquet").column("x").to_pylist() == [1, 2, 3]
    assert again.artifact.file("report.md").read_text() == "# Report\n"


def test_manifest_says_what_was_made_and_how(store: Store) -> None:
    upstream = store.build(recipe(1), writer()).artifact
    made = Recipe("train", THING, "code", {"rate": 0.1}, {"data": upstream}, {"photos": "ab"}, {"device": "cpu"})
    manifest = store.build(made, writer([4])).artifact.manifest
    assert manifest.stage == "train"
    assert manifest.parameters == {"rate": 0.1}
    assert manifest.inputs["data"].version == upstream.version
    assert manifest.external == {"photos": "ab"}
    assert manifest.recorded == {"device": "cpu"}
    assert manifest.summary == {"rows": 1}
    assert manifest.files["rows.parquet"].rows == 1
    assert manifest.files["report.md"].bytes == 9
    assert manifest.peak_memory_bytes > 1_000_000
    assert manifest.environment.packages["pyarrow"] == pa.__version__
    assert '\n  "stage": "train",\n' in (store.resolve("thing").path / "manifest.json").read_text()


def test_key_depends_on_content_and_not_on_version_of_inputs(store: Store) -> None:
    one = store.build(recipe(1), writer([7])).artifact
    same_content = store.build(recipe(2), writer([7], report="# Another report\n")).artifact
    other = store.build(recipe(3), writer([8])).artifact
    assert one.version != same_content.version
    assert recipe(9, inputs={"a": one}).key == recipe(9, inputs={"a": same_content}).key
    assert recipe(9, inputs={"a": one}).key != recipe(9, inputs={"a": other}).key


def test_recorded_values_are_no_part_of_the_key() -> None:
    assert Recipe("s", THING, "c", {}, {}, {}, {"device": "cuda"}).key == Recipe("s", THING, "c", {}, {}).key


def test_parameters_that_are_not_json_are_named() -> None:
    with pytest.raises(ValidationError, match=r"parameters of make\.where\.path: .* got PosixPath"):
        _ = recipe(where={"path": Path("x")}).key


def test_figures_that_json_cannot_hold_are_kept_as_text(store: Store) -> None:
    artifact = store.build(recipe(), lambda folder: {**writer()(folder), "miou": float("nan")}).artifact
    assert artifact.manifest.summary["miou"] == "nan"
    assert store.verify() == []


def test_forced_build_with_other_content_is_a_new_version(store: Store) -> None:
    first = store.build(recipe(), writer([1])).artifact
    same = store.build(recipe(), writer([1]), force=True)
    other = store.build(recipe(), writer([2]), force=True).artifact
    assert not same.hit
    assert same.artifact.version == first.version
    assert other.version != first.version
    assert store.find(recipe()) == other, "the newest of a key is found"


def test_failed_build_leaves_nothing(store: Store) -> None:
    def write(folder: Path) -> dict[str, int]:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.build(recipe(), write)
    assert store.list() == []
    assert not any((store.root / "temporary").iterdir())


def test_what_a_kind_does_not_allow_is_refused(store: Store) -> None:
    def write(columns: dict[str, pa.Array], folder: Path) -> dict[str, int]:
        writer()(folder)
        pq.write_table(pa.table(columns), folder / "rows.parquet")
        return {}

    x = pa.array([1, None], pa.int32())
    vector = pa.array([[1.0], [2.0]], pa.list_(pa.float32(), 1))
    with pytest.raises(ValidationError, match=r"thing: rows\.parquet: column x has 1 nulls and may have none"):
        store.build(recipe(), lambda folder: write({"x": x, "vector": vector}, folder))
    with pytest.raises(ValidationError, match="expected columns x, vector; got x"):
        store.build(recipe(), lambda folder: write({"x": x}, folder))
    with pytest.raises(ValidationError, match="expected column x of type int32, got int64"):
        store.build(recipe(), lambda folder: write({"x": x.cast(pa.int64()), "vector": vector}, folder))
    with pytest.raises(ValidationError, match="expected column vector of type list<item: float>, got double"):
        store.build(recipe(), lambda folder: write({"x": x.fill_null(0), "vector": pa.array([1.0, 2.0])}, folder))
    with pytest.raises(ValidationError, match=r"did not write rows\.parquet, notes\.json, report\.md"):
        store.build(recipe(), lambda folder: {})
    assert store.list() == []


def test_list_of_fixed_size_fits_a_list(store: Store) -> None:
    def write(folder: Path) -> dict[str, int]:
        writer()(folder)
        vector = pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))
        pq.write_table(pa.table({"x": pa.array([1], pa.int32()), "vector": vector}), folder / "rows.parquet")
        return {}

    assert store.build(recipe(), write).artifact.table("rows.parquet").num_rows == 1


def test_links_and_the_manifests_name_are_refused(store: Store, tmp_path: Path) -> None:
    def linking(folder: Path) -> dict[str, int]:
        writer()(folder)
        (folder / "link").symlink_to(tmp_path)
        return {}

    def naming(folder: Path) -> dict[str, int]:
        writer()(folder)
        (folder / "manifest.json").write_text("{}")
        return {}

    with pytest.raises(ValidationError, match="link is no plain file"):
        store.build(recipe(), linking)
    with pytest.raises(ValidationError, match="this name belongs to the store"):
        store.build(recipe(), naming)


def test_kind_cannot_depend_on_a_file_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="content names"):
        Kind("k", {}, ("a.json",), ("b.json",))


def test_references(store: Store) -> None:
    first = store.build(recipe(1), writer([1])).artifact
    second = store.build(recipe(2), writer([2])).artifact
    store.tag(first, "production")
    for reference in ("thing:production", f"thing:{first.version}", f"thing:{first.version[:6]}"):
        assert store.resolve(reference) == first
    for reference in ("thing", "thing:latest"):
        assert store.resolve(reference) == second
    assert store.tags() == {"thing:production": first.version}
    store.untag("thing:production")
    with pytest.raises(NotFoundError, match=rf"newest first: {second.version}, {first.version}; tags: none"):
        store.resolve("thing:production")
    with pytest.raises(NotFoundError, match="no artifact of kind 'label_space'; the store has thing"):
        store.resolve("label_space")
    with pytest.raises(NotFoundError, match="no tag 'thing:production'; the store has none"):
        store.untag("thing:production")


def test_ambiguous_reference_lists_the_versions(store: Store) -> None:
    versions: dict[str, list[str]] = {}
    for k in range(17):  # two of 17 versions share one of 16 first digits
        version = store.build(recipe(k), writer([k])).artifact.version
        versions.setdefault(version[0], []).append(version)
    shared = max(versions, key=lambda digit: len(versions[digit]))
    with pytest.raises(NotFoundError, match=f"ambiguous: {', '.join(sorted(versions[shared]))}"):
        store.resolve(f"thing:{shared}")


@pytest.mark.parametrize("name", ["latest", "beef", "3fa", "a/b", "", ".hidden"])
def test_names_that_are_no_good_for_a_tag(store: Store, name: str) -> None:
    artifact = store.build(recipe(), writer()).artifact
    with pytest.raises(StoreError, match="no name for a tag"):
        store.tag(artifact, name)


def test_latest_is_what_the_last_build_gave(store: Store) -> None:
    first = store.build(recipe(1), writer([1])).artifact
    second = store.build(recipe(2), writer([2])).artifact
    assert store.resolve("thing") == second
    store.build(recipe(1), fail)
    assert store.resolve("thing") == first
    for pointer in ("", "000000000000"):
        (store.root / "latest" / "thing").write_text(pointer)
        assert store.resolve("thing") == second, "without a good pointer it is the newest"
    (store.root / "latest" / "thing").unlink()
    assert store.resolve("thing") == second


def test_explanations(store: Store) -> None:
    assert str(store.explain(recipe())) == "make has not run yet"
    upstream = store.build(recipe(1, stage="before"), writer([1])).artifact
    other = store.build(recipe(2, stage="before"), writer([2])).artifact
    version = store.build(recipe(24, inputs={"rows": upstream}, names=["a"] * 50), writer()).artifact.version
    hit = store.explain(recipe(24, inputs={"rows": upstream}, names=["a"] * 50))
    assert hit.hit
    assert str(hit) == f"cached as {version}"
    miss = store.explain(recipe(32, inputs={"rows": other}, code="d", seed=0))
    assert (miss.hit, miss.version) == (False, version)
    code, k, names, seed, rows = miss.reasons
    assert code == "code changed"
    assert k == "parameters.k: 24 -> 32"
    assert names.startswith('parameters.names: ["a", "a", ')
    assert names.endswith("… -> (absent)")
    assert seed == "parameters.seed: (absent) -> 0"
    assert rows == f"inputs.rows: {upstream.digest[:12]} -> {other.digest[:12]}"


def test_diff(store: Store) -> None:
    before = store.build(recipe(1), writer([1])).artifact
    after = store.build(recipe(2), writer([1, 2])).artifact
    changes = {change.part: (change.before, change.after) for change in store.diff(before, after)}
    assert changes.keys() == {"parameters.k", "summary.rows", "files.rows.parquet"}
    assert changes["summary.rows"] == (1, 2)
    assert store.diff(before, before) == []


def test_lineage_and_dependants(store: Store) -> None:
    a = store.build(recipe(1), writer([1])).artifact
    b = store.build(recipe(2, inputs={"a": a}), writer([2])).artifact
    c = store.build(recipe(3, inputs={"b": b}), writer([3])).artifact
    store.build(recipe(4), writer([4]))
    tree = store.lineage(c)
    assert tree.version == c.version
    assert tree.inputs["b"].inputs["a"].version == a.version
    assert tree.inputs["b"].inputs["a"].inputs == {}
    assert [manifest.version for manifest in store.dependants(a)] == [b.version, c.version]
    assert store.dependants(c) == []


def test_collection_keeps_tags_latest_handles_and_what_they_were_made_of(store: Store) -> None:
    upstream = store.build(recipe(1), writer([1])).artifact.version
    tagged = store.build(recipe(2, inputs={"a": store.resolve("thing")}), writer([2])).artifact.version
    store.tag(store.resolve("thing"), "production")
    held = store.build(recipe(3), writer([3])).artifact
    unused = store.build(recipe(4), writer([4])).artifact.version
    newest = store.build(recipe(5), writer([5])).artifact.version

    (item,) = store.collect_garbage()
    assert item.what == f"thing:{unused}"
    assert item.bytes > 1000
    assert len(store.list()) == 5, "a dry run deleted something"
    assert store.collect_garbage(dry_run=False) == [item]
    assert {manifest.version for manifest in store.list()} == {upstream, tagged, held.version, newest}
    assert not any((store.root / "temporary").iterdir())
    assert store.collect_garbage(keep_latest=9) == []

    del held
    store.untag("thing:production")
    assert len(store.collect_garbage(dry_run=False)) == 3
    assert [manifest.version for manifest in store.list()] == [newest]


def test_workspace_survives_until_published(store: Store) -> None:
    def interrupted(folder: Path) -> dict[str, int]:
        (store.workspace(recipe()) / "state").write_text("half")
        raise KeyboardInterrupt

    def resumed(folder: Path) -> dict[str, int]:
        assert (store.workspace(recipe()) / "state").read_text() == "half"
        return writer()(folder)

    with pytest.raises(KeyboardInterrupt):
        store.build(recipe(), interrupted)
    store.build(recipe(), resumed)
    assert not any((store.root / "workspaces").iterdir())


def test_newer_store_and_foreign_folder_are_refused(store: Store, tmp_path: Path) -> None:
    (store.root / "store.json").write_text('{"format": 2}')
    with pytest.raises(FormatError, match="is a store of format 2; this program knows format 1"):
        Store(store.root)
    (store.root / "store.json").write_text("nonsense")
    with pytest.raises(FormatError, match="expected"):
        Store(store.root)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(FormatError, match=r"is not a store: .* holds cat\.jpg"):
        Store(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


def test_manifest_of_a_newer_format_is_refused(store: Store) -> None:
    path = store.build(recipe(), writer()).artifact.path / "manifest.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2, "new": 0'))
    with pytest.raises(FormatError, match="has format 2"):
        store.list()


def test_handle_can_be_sent_to_another_process(store: Store) -> None:
    artifact = store.build(recipe(), writer()).artifact
    assert pickle.loads(pickle.dumps(artifact)) == artifact


def test_unknown_file_lists_those_that_exist(store: Store) -> None:
    artifact = store.build(recipe(), writer()).artifact
    with pytest.raises(NotFoundError, match=r"has no file 'x'; it has notes\.json, report\.md, rows\.parquet"):
        artifact.file("x")


def test_resolve_refuses_a_damaged_artifact(store: Store) -> None:
    artifact = store.build(recipe(), writer()).artifact
    (artifact.path / "report.md").write_text("changed!\n")
    with pytest.raises(DamagedError, match=r"report\.md: its bytes were changed"):
        store.resolve("thing")


def test_waiting_for_another_build_is_said(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    from threading import Event, Thread

    started, go_on = Event(), Event()

    def slow(folder: Path) -> dict[str, int]:
        started.set()
        go_on.wait()
        return writer()(folder)

    with caplog.at_level(logging.INFO, logger="artifacts"):
        threads = [Thread(target=store.build, args=(recipe(), slow)) for _ in range(2)]
        for thread in threads:
            thread.start()
            started.wait()
        while "waiting for another process that builds make" not in caplog.text:
            time.sleep(0.01)
        go_on.set()
        for thread in threads:
            thread.join()
    assert len(store.list()) == 1


def test_listing_imports_nothing_heavy(store: Store) -> None:
    script = f"import sys; from artifacts import Store; Store({str(store.root)!r}).list(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"pyarrow", "torch", "safetensors", "numpy", "psutil"} & set(done.stdout.split())
