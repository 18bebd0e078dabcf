"""Several processes that want the same artifact, and a store that is in use."""

from multiprocessing.context import ForkServerContext
from pathlib import Path

from store_processes import build_when_told, hold
from thing import recipe, writer

from artifacts import Store


def test_four_racing_processes_build_once(store: Store, tmp_path: Path, processes: ForkServerContext) -> None:
    log = tmp_path / "log"
    racers = []
    for _ in range(4):
        listen, start = processes.Pipe(duplex=False)
        result, tell = processes.Pipe(duplex=False)
        process = processes.Process(target=build_when_told, args=(store.root, log, listen, tell))
        process.start()
        racers.append((process, start, result))
    for _, start, _ in racers:
        start.send(None)
    results = [result.recv() for _, _, result in racers]
    for process, _, _ in racers:
        process.join()

    assert len(log.read_text().splitlines()) == 1
    assert sorted(hit for _, hit in results) == [False, True, True, True]
    assert len({version for version, _ in results}) == 1


def test_what_another_process_holds_is_kept_with_what_it_was_made_of(
    store: Store, processes: ForkServerContext
) -> None:
    upstream = store.build(recipe(1), writer([1])).artifact
    held = store.build(recipe(2, inputs={"before": upstream}), writer([2])).artifact.version
    upstream_version = upstream.version
    del upstream
    unused = store.build(recipe(3), writer([3])).artifact.version
    newest = store.build(recipe(4), writer([4])).artifact.version

    ready, told = processes.Pipe(duplex=False)
    process = processes.Process(target=hold, args=(store.root, f"thing:{held}", told))
    process.start()
    ready.recv()
    assert [item.what for item in store.collect_garbage(dry_run=False)] == [f"thing:{unused}"]
    process.kill()
    process.join()

    gone = [item.what for item in store.collect_garbage(dry_run=False)]
    assert gone == [f"thing:{held}", f"thing:{upstream_version}"]
    assert [manifest.version for manifest in store.list()] == [newest]
