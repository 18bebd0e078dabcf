"""A run without a server is killed or asked to end while a language model describes, or while a network trains."""

from __future__ import annotations

import random
import signal

from tests.faults.fault import Fault
from tests.faults.laboratory import Laboratory, seconds_to_end

_INTERRUPTED = 130


def _signalled(laboratory: Laboratory, chance: random.Random, sent: signal.Signals, code: int) -> str:
    stage = chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        run = round.prolab.start("run", "experiment.yaml", "--only", stage)
        round.wait_for(stage)
        run.send_signal(sent)
        _, log = run.communicate(timeout=seconds_to_end())
        round.assert_alone()
        if round.has(stage):
            return f"{stage} was done"
        assert run.returncode == code, f"exit code {run.returncode}:\n{log}"
        kept = round.answers if stage == "describe" else round.training_states
        round.goes_on(stage)
        return f"{stage} {'went on' if kept else 'began anew, as nothing had been done'}"


def _kill(laboratory: Laboratory, chance: random.Random) -> str:
    return _signalled(laboratory, chance, signal.SIGKILL, -signal.SIGKILL)


def _terminate(laboratory: Laboratory, chance: random.Random) -> str:
    return _signalled(laboratory, chance, chance.choice((signal.SIGTERM, signal.SIGINT)), _INTERRUPTED)


FAULTS = [
    Fault(
        "kill-run",
        "`kill -9` of `prolab run` in describe or train",
        "no process is left; the next run takes up answers and training state",
        "run again",
        _kill,
    ),
    Fault(
        "terminate-run",
        "SIGTERM or Ctrl-C to `prolab run` in describe or train",
        "exit code 130 within 10 s; the next run takes up answers and training state",
        "run again",
        _terminate,
    ),
]
