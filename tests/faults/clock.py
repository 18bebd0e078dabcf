"""The clock jumps: for the run's processes, by a library that is preloaded, and not for the file system."""

from __future__ import annotations

import dataclasses
import random
import shutil
import signal
import struct
import subprocess
import time
from pathlib import Path

from tests.faults.fault import Fault, NotHereError
from tests.faults.laboratory import Laboratory

_DAY = 86_400
_DAYS = 400


def _jumps(laboratory: Laboratory, chance: random.Random) -> str:
    stage = chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        clock = round.folder / "clock"
        clock.write_bytes(bytes(8))
        preloaded = {"LD_PRELOAD": str(_library(round.folder)), "FAULT_CLOCK": str(clock)}
        environment = round.prolab.environment | preloaded
        fooled = dataclasses.replace(round, prolab=dataclasses.replace(round.prolab, environment=environment))

        def jump() -> None:
            seconds = chance.randint(-_DAYS * _DAY, _DAYS * _DAY) // chance.choice((1, 1000))
            with clock.open("r+b") as file:
                file.write(struct.pack("q", seconds))

        run = fooled.prolab.start("run", "experiment.yaml", "--only", stage)
        fooled.wait_for(stage)
        jump()
        time.sleep(chance.uniform(0, 2))
        run.send_signal(signal.SIGTERM)
        run.communicate()
        jump()
        if round.has(stage):
            fooled.run("--only", stage)
            round.assert_complete(stage)
            return f"{stage} was done, and found again"
        fooled.goes_on(stage)
        return f"{stage} went on"


def _library(folder: Path) -> Path:
    source, library = Path(__file__).with_name("clock.c"), folder / "clock.so"
    if shutil.which("cc") is None:
        raise NotHereError("no C compiler")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return library


FAULTS = [
    Fault(
        "clock",
        "the clock jumps by up to 400 days, forth or back, in a run and between two",
        "answers and training state are taken up; what was made is found",
        "nothing",
        _jumps,
    ),
]
