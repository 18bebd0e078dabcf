"""Several runs at once on one store."""

from __future__ import annotations

import random
from collections import Counter

from tests.faults.fault import Fault
from tests.faults.laboratory import SECONDS_TO_RUN, SUBJECTS, Laboratory, Round
from tests.flows.processes import rows


def _at_once(round: Round, stage: str, *settings: tuple[str, ...]) -> list[str]:
    """Run the stage with each of the settings, all at once; returns the state of each."""
    runs = [round.prolab.start("run", "experiment.yaml", "--only", stage, *more) for more in settings]
    ended = [run.communicate(timeout=SECONDS_TO_RUN) for run in runs]
    for run, (_, log) in zip(runs, ended, strict=True):
        assert run.returncode == 0, log
    return [rows(table)[stage][1] for table, _ in ended]


def _identical(laboratory: Laboratory, chance: random.Random, count: int, stage: str) -> str:
    with laboratory.round(chance, before=stage) as round:
        states = Counter(_at_once(round, stage, *[()] * count))
        assert states == {"Built": 1, "Cached": count - 1}, states
        assert stage != "describe" or round.asked == SUBJECTS, f"{round.asked} questions"
        round.assert_complete(stage)
        return f"one built {stage}, the others waited for it"


def _two(laboratory: Laboratory, chance: random.Random) -> str:
    return _identical(laboratory, chance, 2, chance.choice(laboratory.long_stages))


def _eight(laboratory: Laboratory, chance: random.Random) -> str:
    return _identical(laboratory, chance, 8, "describe")


def _different(laboratory: Laboratory, chance: random.Random) -> str:
    with laboratory.round(chance, before="describe") as round:
        settings = [("--set", f"describe.provider.temperature={chance.random():.3f}") for _ in range(2)]
        assert _at_once(round, "describe", *settings) == ["Built", "Built"]
        assert round.asked == 2 * SUBJECTS, f"{round.asked} questions"
        round.assert_sound()
        assert _at_once(round, "describe", *settings) == ["Cached", "Cached"]
        return "both built, and were found again"


FAULTS = [
    Fault(
        "two-runs",
        "two identical runs at once",
        "one builds, the other waits and finds it; no question is asked twice",
        "nothing",
        _two,
    ),
    Fault("eight-runs", "eight identical runs at once", "one builds, the others wait and find it", "nothing", _eight),
    Fault(
        "two-experiments",
        "two different experiments at once on one store",
        "neither waits for the other; both are in the store",
        "nothing",
        _different,
    ),
]
