"""A file of the store is damaged."""

from __future__ import annotations

import random
from pathlib import Path

from artifacts import Store
from tests.faults.fault import Fault
from tests.faults.laboratory import KINDS, Laboratory, Round


def _damage(path: Path, chance: random.Random) -> str:
    """Flip a bit, cut the file off, or remove it."""
    content = bytearray(path.read_bytes())
    path.chmod(0o644)
    how = chance.choice(("a bit flipped", "cut off", "removed"))
    if how == "a bit flipped":
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
    elif how == "cut off":
        path.write_bytes(content[: chance.randrange(len(content))])
    else:
        path.unlink()
    return how


def _file(round: Round, stage: str, name: str) -> Path:
    (path,) = round.store.glob(f"artifacts/{KINDS[stage]}/*/{name}")
    return path


def _artifact(laboratory: Laboratory, chance: random.Random, stage: str, name: str) -> str:
    """A file of the artifact that the stage made, which `verify` names and the next run makes again."""
    following = list(KINDS)[list(KINDS).index(stage) + 1]
    with laboratory.round(chance, before=following) as round:
        how = _damage(_file(round, stage, name), chance)
        problems = Store(round.store).verify()
        assert [problem.file for problem in problems] == [name], problems
        log = round.run("--only", stage)
        assert "damaged and moved to" in log, log
        round.assert_complete(stage)
        return f"{how}: named, set aside and made again"


def _manifest(laboratory: Laboratory, chance: random.Random) -> str:
    return _artifact(laboratory, chance, "describe", "manifest.json")


def _parquet(laboratory: Laboratory, chance: random.Random) -> str:
    return _artifact(laboratory, chance, "describe", "descriptions.parquet")


def _checkpoint(laboratory: Laboratory, chance: random.Random) -> str:
    return _artifact(laboratory, chance, "train", "model.safetensors")


def _index(laboratory: Laboratory, chance: random.Random) -> str:
    """What the store keeps beside the artifacts, which all can be found again."""
    with laboratory.round(chance, before="embed") as round:
        names = ["latest/descriptions", "file_hashes.jsonl", *[str(path) for path in round.answers]]
        files = [path for name in names if (path := round.store / name).exists()]
        for path in files:
            _damage(path, chance)
        before = round.versions()
        round.run("--only", "describe")
        assert round.versions() == before
        round.run("--only", "describe", "--force", "describe")
        round.assert_complete("describe")
        return "found again, or made again"


def _training_state(laboratory: Laboratory, chance: random.Random) -> str:
    with laboratory.round(chance, before="train") as round:
        run = round.prolab.start("run", "experiment.yaml", "--only", "train")
        while not round.training_states and run.poll() is None:
            round.wait_for("train")
        run.kill()
        run.communicate()
        states = round.training_states
        if not states:
            return "train was done"
        how = "cut off"
        states[0].write_bytes(states[0].read_bytes()[: chance.randrange(states[0].stat().st_size)])
        log = round.run("--only", "train")
        assert "cannot be read" in log, log
        round.assert_complete("train")
        return f"{how}: named, and trained from the start"


_MADE_AGAIN = "`verify` names it; the next run sets it aside and makes it again"

FAULTS = [
    Fault("manifest", "a damaged manifest", _MADE_AGAIN, "run again", _manifest),
    Fault("parquet", "a damaged table", _MADE_AGAIN, "run again", _parquet),
    Fault("checkpoint", "damaged weights", _MADE_AGAIN, "run again", _checkpoint),
    Fault(
        "index",
        "damaged pointers, remembered hashes and kept answers",
        "the artifact is found all the same; answers are asked for again",
        "nothing",
        _index,
    ),
    Fault(
        "training-state",
        "the state of an interrupted training is cut off",
        "a warning names it, training begins anew",
        "nothing",
        _training_state,
    ),
]
