"""The language model's server is dead for a while."""

from __future__ import annotations

import random
import time

from tests.faults.fault import Fault
from tests.faults.laboratory import SECONDS_TO_RUN, Laboratory

_NO_ANSWER = 4


def _a_minute(laboratory: Laboratory, chance: random.Random) -> str:
    """By what the experiment says if it says nothing: six repeats, which wait for half a minute in all."""
    return _dead(laboratory, chance, seconds=60.0)


def _longer(laboratory: Laboratory, chance: random.Random) -> str:
    return _dead(laboratory, chance, None, "--set", "describe.provider.max_retries=1")


def _dead(laboratory: Laboratory, chance: random.Random, seconds: float | None, *settings: str) -> str:
    with laboratory.round(chance, before="describe") as round:
        run = round.prolab.start("run", "experiment.yaml", "--only", "describe", *settings)
        round.wait_for("describe")
        laboratory.stop_model()
        if seconds is None:
            _, log = run.communicate(timeout=SECONDS_TO_RUN)
            laboratory.start_model()
        else:
            time.sleep(seconds)
            laboratory.start_model()
            _, log = run.communicate(timeout=SECONDS_TO_RUN)
        if round.has("describe"):
            assert run.returncode == 0, log
            round.assert_complete("describe")
            return "waited, and went on" if "asked again" in log else "describe was done"
        assert run.returncode == _NO_ANSWER, f"exit code {run.returncode}:\n{log}"
        assert "error: No answer from the language model's server" in log and "Traceback" not in log, log
        round.goes_on("describe")
        return "gave up and said so, went on in the next run"


FAULTS = [
    Fault(
        "dead-model",
        "the language model's server is dead for a minute in describe",
        "the run waits and asks again, for half a minute; then exit code 4, and the cause",
        "run again once the server is there; a deployment tries again by itself",
        _a_minute,
    ),
    Fault(
        "dead-model-for-good",
        "it stays dead for longer than the run asks again",
        "exit code 4, and the cause; no kept answer is asked for again",
        "run again once the server is there",
        _longer,
    ),
]
