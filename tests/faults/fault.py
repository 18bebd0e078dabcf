"""What a fault is, and the table of what became of it."""

from __future__ import annotations

import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.faults.laboratory import Laboratory

Play = Callable[[Laboratory, random.Random], str]
"""Plays one round and says how it went in a few words; raises AssertionError where something does not hold."""


@dataclass(frozen=True)
class Fault:
    """Something that breaks.

    Attributes:
        name: what it is called on the command line.
        happens: what breaks, and when.
        holds: what a round checks.
        todo: what a user does.
        play: plays one round.
    """

    name: str
    happens: str
    holds: str
    todo: str
    play: Play


@dataclass
class Record:
    """What became of a fault's rounds."""

    fault: Fault
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        """How many were played."""
        return self.outcomes.total() + len(self.failures)


def play(fault: Fault, laboratory: Laboratory, rounds: int, seed: int) -> Record:
    """Play the rounds, each with a seed of its own, and say how each went."""
    record = Record(fault)
    for number in range(rounds):
        started = time.monotonic()
        try:
            outcome = fault.play(laboratory, random.Random(f"{fault.name} {seed + number}"))
            record.outcomes[outcome] += 1
        except NotHereError as reason:
            print(f"{fault.name}: skipped: {reason}", flush=True)
            break
        except Exception:
            outcome = f"FAILED (--seed {seed + number} --rounds 1)"
            record.failures.append(traceback.format_exc())
            print(record.failures[-1], flush=True)
        print(f"{fault.name} {number + 1}/{rounds}: {outcome} ({time.monotonic() - started:.0f} s)", flush=True)
    return record


class NotHereError(Exception):
    """What the fault takes is not on the machine."""


def table(records: Iterable[Record]) -> str:
    """The records as a table in Markdown."""
    lines = ["| what happens | what holds | what you do | rounds | how they went |", "| --- | --- | --- | ---: | --- |"]
    for record in records:
        fault, rounds = record.fault, str(record.rounds)
        if record.failures:
            rounds = f"{rounds}, **{len(record.failures)} failed**"
        went = "; ".join(f"{outcome}: {count}" for outcome, count in record.outcomes.most_common())
        lines.append(f"| `{fault.name}`: {fault.happens} | {fault.holds} | {fault.todo} | {rounds} | {went} |")
    return "\n".join(lines)
