"""Times what a store with 10,000 artifacts in it answers: as commands, their start included, and in this process.

Run: python -m tests.benchmarks.store_listing

The real stages run once on a small data set. Their six artifacts are then repeated, each with its own parameters and
time, and with the version, inputs, tags and checksum that follow from them, so that every one is as sound as the first
six. What a listing takes is held against reading the manifests as plain JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from artifacts import Artifact, Manifest, Store
from artifacts.canonical import json_hash
from artifacts.hashing import version_of
from artifacts.layout import MANIFEST, Layout
from artifacts.manifest import InputRecord
from flows.experiment import load_experiment
from flows.sequence import EVERYTHING, plan_sequence
from tests.benchmarks.command import PROLAB, quiet_environment, time_command
from tests.squares import write_experiment

_TAGGED = 20  # every so many runs of the pipeline have a tag
_OTHER_CLASSES = "dataset.config=./lake.py"  # with other classes no stage finds what it would make


def fill(store: Store, count: int) -> None:
    """Repeat the artifacts of a run of the pipeline until there are `count`."""
    layout = Layout(store.root)
    first = sorted(store.list(), key=lambda manifest: manifest.created)
    for number in range(1, -(-count // len(first))):
        made: dict[str, InputRecord] = {}
        for original in first:
            manifest = _repeat(original, number, made)
            made[original.reference] = InputRecord(kind=manifest.kind, version=manifest.version, digest=manifest.digest)
            source = layout.folder(original.kind, original.version, original.key)
            folder = layout.folder(manifest.kind, manifest.version, manifest.key)
            for name in manifest.files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                os.link(source / name, folder / name)
            (folder / MANIFEST).write_text(manifest.text(), encoding="utf-8")
            if number % _TAGGED == 0:
                store.tag(Artifact(folder), f"run-{number}")


def _repeat(original: Manifest, number: int, made: dict[str, InputRecord]) -> Manifest:
    """The manifest with other parameters, made of the artifacts that were repeated before it, a minute earlier each."""
    manifest = original.model_copy(
        update={
            "parameters": {**original.parameters, "repeated": number},
            "inputs": {name: made[f"{record.kind}:{record.version}"] for name, record in original.inputs.items()},
            "created": (datetime.fromisoformat(original.created) - timedelta(minutes=number)).isoformat(),
        }
    )
    key = json_hash(manifest.key_parts)
    return manifest.model_copy(update={"key": key, "version": version_of(key, manifest.digest)}).sealed()


def check_some(store: Store) -> None:
    """See that what was repeated is what the store takes for sound."""
    some = random.Random(0).sample(store.list(), 100)
    problems = store.verify(manifest.reference for manifest in some)
    if problems:
        raise SystemExit("\n".join(map(str, problems)))


def best(run: Callable[[], object], rounds: int) -> float:
    """Seconds of the fastest round."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    """Print a line for each question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = quiet_environment(folder)
        experiment = write_experiment(folder)
        squares = (folder / "squares" / "squares.py").read_text(encoding="utf-8")
        (folder / "lake.py").write_text(squares.replace("pond", "lake"), encoding="utf-8")
        time_command([PROLAB, "run", str(experiment)], folder, environment)
        root = folder / "store"
        start = time.perf_counter()
        fill(Store(root), arguments.artifacts)
        check_some(Store(root))
        count = len(Store(root).list())
        print(f"{count} artifacts, written in {time.perf_counter() - start:.0f} s; best of {arguments.rounds}")

        def command(*words: str) -> str:
            taken = [time_command([PROLAB, *words], folder, environment) for _ in range(arguments.rounds)]
            fastest, cpu = min(one.seconds for one in taken), min(one.cpu for one in taken)
            return f"{fastest:7.2f} s {cpu:7.2f} s {max(one.peak_bytes for one in taken) / 1e6:5.0f} MB"

        def plan(*overrides: str) -> None:
            plan_sequence(load_experiment(experiment, overrides).steps(), EVERYTHING, Store(root))

        last = f"run-{(count // 6 - 1) // _TAGGED * _TAGGED}"
        os.chdir(folder)  # as the commands do: overrides name files relative to it
        questions: Sequence[tuple[Sequence[str], Callable[[], object]]] = (
            (["artifacts", "list"], lambda: Store(root).list()),
            (["artifacts", "list", "checkpoint"], lambda: Store(root).list("checkpoint")),
            (["plan", "experiment.yaml"], plan),
            (["plan", "experiment.yaml", "--set", "cluster.properties=5"], lambda: plan("cluster.properties=5")),
            (["plan", "experiment.yaml", "--set", _OTHER_CLASSES], lambda: plan(_OTHER_CLASSES)),
            (["artifacts", "tag", f"checkpoint:{last}", "chosen"], lambda: Store(root).resolve(f"checkpoint:{last}")),
            (["artifacts", "lineage", f"evaluation:{last}"], lambda: _lineage(Store(root), f"evaluation:{last}")),
            (["artifacts", "show", f"dataset:{last}"], lambda: _dependants(Store(root), f"dataset:{last}")),
            (["artifacts", "gc"], lambda: Store(root).collect_garbage()),
        )
        print(f"{'prolab ...':70}   command  processor   memory   in process")
        for words, ask in questions:
            print(f"{' '.join(words):70} {command(*words)} {best(ask, arguments.rounds):10.2f} s", flush=True)
        reading = best(lambda: [json.loads(file.read_bytes()) for file in _manifests(root)], arguments.rounds)
        listing = best(lambda: Store(root).list(), arguments.rounds)
        print(f"manifests read as plain JSON {reading:.2f} s, listed {listing:.2f} s, ratio {reading / listing:.2f}")


def _manifests(root: Path) -> list[Path]:
    return list(root.glob(f"artifacts/*/*/{MANIFEST}"))


def _lineage(store: Store, reference: str) -> object:
    return store.lineage(store.resolve(reference))


def _dependants(store: Store, reference: str) -> object:
    return store.dependants(store.resolve(reference))


if __name__ == "__main__":
    main()
