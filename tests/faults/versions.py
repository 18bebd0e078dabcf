"""A worker has older code than the one who deployed."""

from __future__ import annotations

import os
import random
import shutil

from artifacts import Store
from tests.conftest import REPOSITORY
from tests.faults.fault import Fault
from tests.faults.laboratory import KINDS, SUBJECTS, Laboratory, Round

_CODE = ("artifacts", "configs", "flows", "ops", "prolab_model", "tasks")


def _older_worker(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, "describe"
    with laboratory.round(chance, before=stage) as round:
        older = round.folder / "older"
        for name in _CODE:
            shutil.copytree(REPOSITORY / name, older / name, ignore=shutil.ignore_patterns("__pycache__"))
        module = chance.choice(sorted((older / "tasks" / stage).glob("*.py")))
        module.write_text(f"{module.read_text()}\n\n_OLDER = {chance.random()}\n")
        path = os.pathsep.join(filter(None, (str(older), service.prolab.environment.get("PYTHONPATH"))))
        service.restart_worker(PYTHONPATH=path)
        _run(round, stage)
        service.restart_worker()
        _run(round, stage)
        round.assert_sound()
        made = [manifest.version for manifest in Store(round.store).list(KINDS[stage])]
        assert len(made) == 2, f"what the older code made was taken for the newer's: {made}"
        assert made[0] == laboratory.versions[KINDS[stage]]
        assert round.asked == SUBJECTS, f"{round.asked} questions"
        return "made anew by the newer code"


def _run(round: Round, stage: str) -> None:
    service = round.laboratory.service
    run = service.run(round, stage)
    state = service.end_of(run)
    assert state.is_completed(), (state, service.log(run))


FAULTS = [
    Fault(
        "older-worker",
        "a worker with older code, and then one with newer code, run the same stage",
        "what the older code made is not taken for the newer's; no answer is asked for again",
        "start the workers again after an update; `prolab plan` says `code`",
        _older_worker,
    ),
]
