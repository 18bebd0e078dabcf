"""The disk of the store runs full, or cannot be written to: a small tmpfs, which root may mount."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.fault import Fault, NotHereError
from tests.faults.laboratory import SECONDS_TO_RUN, Laboratory, Round

_MOST_BYTES = {"describe": 300_000, "train": 12_000_000}
"""About twice of what the stage writes."""


@contextmanager
def _small_disk(round: Round) -> Iterator[None]:
    """The round's store on a disk of its own."""
    moved = round.store.rename(round.folder / "moved")
    round.store.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(round.store)], capture_output=True)
    if mounted.returncode:
        raise NotHereError(f"mounting a small disk takes root's rights: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(moved, round.store, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(round.store)], check=True)


def _full(laboratory: Laboratory, chance: random.Random) -> str:
    stage = chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round, _small_disk(round):
        ballast = round.store / ".ballast"
        free = chance.randrange(_MOST_BYTES[stage])
        ballast.write_bytes(bytes(max(0, shutil.disk_usage(round.store).free - free)))
        code, log = _run(round, stage)
        ballast.unlink()
        if code == 0:
            round.assert_complete(stage)
            return f"there was room for {stage}"
        assert code == 2, f"exit code {code}:\n{log}"
        assert "no room to write in the store" in log and "Traceback" not in log, log
        round.goes_on(stage)
        return f"{stage} said that there is no room"


def _read_only(laboratory: Laboratory, chance: random.Random) -> str:
    stage, done = "describe", chance.random() < 0.5
    with laboratory.round(chance, before="embed" if done else stage) as round, _small_disk(round):
        subprocess.run(["mount", "-o", "remount,ro", str(round.store)], check=True)
        code, log = _run(round, stage)
        subprocess.run(["mount", "-o", "remount,rw", str(round.store)], check=True)
        assert code == (0 if done else 2), f"exit code {code}:\n{log}"
        assert "Traceback" not in log, log
        if done:
            round.assert_complete(stage)
            return "what was there was found"
        assert "is read-only" in log, log
        round.goes_on(stage)
        return "said that the store is read-only"


def _run(round: Round, stage: str) -> tuple[int, str]:
    run = round.prolab.start("run", "experiment.yaml", "--only", stage)
    _, log = run.communicate(timeout=SECONDS_TO_RUN)
    return run.returncode, log


FAULTS = [
    Fault(
        "full-disk",
        "the store's disk (a tmpfs) has a random number of bytes left",
        "exit code 2, and a message that says how many; what was done is taken up once there is room",
        "make room, for instance by `prolab artifacts gc`, and run again",
        _full,
    ),
    Fault(
        "read-only",
        "the store is mounted read-only",
        "what is there is found; else exit code 2 and a message",
        "make it writable, or name another store",
        _read_only,
    ),
]
