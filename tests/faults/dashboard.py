"""`prolab ui` is killed."""

from __future__ import annotations

import random
import socket
import subprocess
import time

from tests.faults.fault import Fault
from tests.faults.laboratory import Laboratory

_SECONDS_TO_STOP = 45.0  # server, worker, and what is below them, ten seconds each and one after the other at most


def _killed(laboratory: Laboratory, chance: random.Random) -> str:
    with laboratory.round(chance, before="end") as round, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        with (round.folder / "ui.log").open("w") as log:
            ui = subprocess.Popen(
                [*round.prolab.command, "ui", "experiment.yaml", "--port", str(port), "--no-open"],
                cwd=round.folder,
                env=round.prolab.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        started = chance.random() < 0.5
        if started:
            assert ui.stdout is not None
            assert ui.stdout.readline().startswith("dashboard: "), (round.folder / "ui.log").read_text()
        else:
            time.sleep(chance.uniform(0, 30))
        ui.kill()
        ui.wait()
        round.assert_alone(_SECONDS_TO_STOP)
        round.assert_complete()
        return f"killed {'when it ran' if started else 'as it started'}, nothing was left"


FAULTS = [
    Fault(
        "kill-dashboard",
        "`kill -9` of `prolab ui`",
        "neither server nor worker is left",
        "start it again",
        _killed,
    ),
]
