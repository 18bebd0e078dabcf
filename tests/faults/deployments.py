"""A stage that a worker runs is cancelled or takes too long, or its process, its worker or the server is killed."""

from __future__ import annotations

import dataclasses
import random
import signal
import sqlite3
import time
from uuid import UUID

from prefect.states import State

from tests.faults.fault import Fault
from tests.faults.laboratory import SECONDS_TO_RUN, Laboratory, Round, seconds_to_end, wait_until

_PIPELINE = "prolab-pipeline"
_SECONDS_AWAY = 90.0
_SECONDS_TO_NOTICE = 30.0  # that a run is to be cancelled, where the worker has to ask the server


def _cancelled(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        run = service.run(round, stage)
        round.wait_for(stage)
        service.cancel(run)
        round.assert_alone()
        state = service.end_of(run)
        if round.has(stage):
            return f"{stage} was done"
        assert state.name == "Cancelled", state
        log = service.log(run)
        assert "Traceback" not in log, log
        _goes_on(round, stage)
        return f"{stage} went on"


def _too_long(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        run = service.run(round, stage, timeout=chance.uniform(2, 2 + laboratory.seconds[stage]))
        service.end_of(run)
        round.assert_alone()
        if round.has(stage):
            return f"{stage} was in time"
        log = service.log(run)
        assert service.task_states(run)[stage] == "TimedOut", log
        assert "Traceback" not in log, log
        _goes_on(round, stage)
        return f"{stage} went on"


def _killed(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        run = service.run(round, stage)
        round.wait_for(stage)
        for process in round.processes():
            process.kill()
        state = service.end_of(run)
        if round.has(stage):
            return f"{stage} was done"
        assert state.is_crashed(), state
        _goes_on(round, stage)
        return f"`Crashed`, {stage} went on"


def _worker_killed(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        run = service.run(round, stage)
        round.wait_for(stage)
        service.worker.kill()
        service.worker.wait()
        try:
            # The run's own process does not need the worker.
            state = service.end_of(run)
        finally:
            service.restart_worker()
        round.assert_alone()
        assert state.is_completed(), (state, service.log(run))
        round.assert_complete(stage)
        return f"{stage} ended by itself"


def _server_restarted(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        run = service.run(round, stage)
        round.wait_for(stage)
        service.stop_server(chance.choice((signal.SIGKILL, signal.SIGTERM)))
        time.sleep(chance.uniform(0, laboratory.seconds[stage]))
        service.restart_server()
        return _after_trouble(round, stage, run)


def _server_restarted_in_pipeline(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        run = service.run(round, _PIPELINE)
        round.wait_for(stage)
        service.stop_server(signal.SIGKILL)
        time.sleep(chance.uniform(0, _SECONDS_AWAY))
        service.restart_server()
        wait_until(lambda: not round.processes(), lambda: f"the run is {service.state(run)!r}")
        round.assert_sound()
        ended = _end_state(round, run)
        if ended != "`Completed`":
            again = service.run(round, _PIPELINE)
            assert service.end_of(again).is_completed(), service.log(again)
        round.assert_complete()
        return f"in {stage}, the run is {ended}" + ("" if ended == "`Completed`" else ", the next one went on")


def _server_gone(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, chance.choice(laboratory.long_stages)
    with laboratory.round(chance, before=stage) as round:
        shown = dataclasses.replace(
            round.prolab, environment=round.prolab.environment | {"PREFECT_API_URL": service.url}
        )
        run = shown.start("run", "experiment.yaml")
        round.wait_for(stage)
        service.stop_server(signal.SIGKILL)
        comes_back = chance.random() < 0.5
        try:
            if comes_back:
                time.sleep(chance.uniform(0, _SECONDS_AWAY))
                service.restart_server()
            _, log = run.communicate(timeout=SECONDS_TO_RUN)
        finally:
            if not comes_back:
                service.restart_server()
            # One that does not find a server waits longer and longer.
            service.restart_worker()
        assert run.returncode == 0, f"exit code {run.returncode}:\n{log}"
        assert "Traceback" not in log, log
        assert log.count(f"{stage}: built") == log.count("evaluate: built") == 1, log
        round.assert_complete()
        what = "came back" if comes_back else "was gone for good"
        how = "without it" if "going on without it" in log else "to be seen in the dashboard"
        return f"it {what}, the run went on {how}"


def _cancelled_after_restart(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, laboratory.long_stages[-1]
    with laboratory.round(chance, before=stage) as round:
        run = service.run(round, stage)
        round.wait_for(stage)
        service.stop_server(signal.SIGKILL)
        service.restart_server()
        if round.has(stage):
            service.end_of(run)
            return f"{stage} was done"
        service.cancel(run)
        round.assert_alone(_SECONDS_TO_NOTICE)
        state = service.end_of(run)
        if round.has(stage):
            return f"{stage} was done"
        assert state.name == "Cancelled", state
        _goes_on(round, stage)
        return f"{stage} went on"


def _database_locked(laboratory: Laboratory, chance: random.Random) -> str:
    service, stage = laboratory.service, "describe"
    with laboratory.round(chance, before=stage) as round:
        run = service.run(round, stage)
        round.wait_for(stage)
        with sqlite3.connect(service.database, isolation_level=None) as database:
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(chance.uniform(5, 90))
            database.execute("ROLLBACK")
        database.close()
        return _after_trouble(round, stage, run)


def _after_trouble(round: Round, stage: str, run: UUID) -> str:
    """The run may have failed with the server; then the next one goes on."""
    wait_until(lambda: not round.processes(), lambda: f"the run is {round.laboratory.service.state(run)!r}")
    round.assert_sound()
    state = _end_state(round, run)
    if round.has(stage):
        round.assert_complete(stage)
        return f"{stage} was built all the same, the run is {state}"
    _goes_on(round, stage)
    return f"the run is {state}, {stage} went on in the next"


def _end_state(round: Round, run: UUID) -> str:
    """The name of the state in which the server believes the run to be at last."""
    service = round.laboratory.service
    deadline = time.monotonic() + 6 * seconds_to_end()
    while not (state := service.state(run)).is_final() and time.monotonic() < deadline:
        time.sleep(0.5)
    return f"`{state.name}`"


def _goes_on(round: Round, stage: str) -> State[object]:
    """Run the stage again by the worker."""
    round.assert_sound()
    service, had_state, had_answers, asked = (
        round.laboratory.service,
        bool(round.training_states),
        len(round.answers),
        round.asked,
    )
    run = service.run(round, stage)
    state = service.end_of(run)
    log = service.log(run)
    assert state.is_completed(), (state, log)
    assert "Traceback" not in log, log
    if stage == "train" and had_state:
        assert "going on from iteration" in log, f"the training state was lost:\n{log}"
    assert stage != "describe" or round.asked - asked <= max(0, 10 - had_answers), "a kept answer was asked for again"
    round.assert_complete(stage)
    return state


FAULTS = [
    Fault(
        "cancel",
        "a worker's run is cancelled in the dashboard, in describe or train",
        "no process is left after 10 s; `Cancelled`, without a traceback; answers and training state are taken up",
        "run again",
        _cancelled,
    ),
    Fault(
        "timeout",
        "a worker's run takes longer than `--timeout`",
        "`TimedOut`; answers and training state are taken up",
        "run again, with more time",
        _too_long,
    ),
    Fault(
        "kill-flow-run",
        "`kill -9` of a worker's run",
        "`Crashed`; answers and training state are taken up",
        "run again",
        _killed,
    ),
    Fault(
        "kill-worker",
        "`kill -9` of the worker while a stage runs",
        "the run goes on to its end without the worker",
        "start a worker",
        _worker_killed,
    ),
    Fault(
        "restart-server",
        "`kill -9` or SIGTERM of the server while a stage runs, and a new start",
        "the store is sound; what the stage makes is there, or the next run goes on",
        "run again if the run is not `Completed`",
        _server_restarted,
    ),
    Fault(
        "restart-server-in-pipeline",
        "`kill -9` of the server while a worker runs the whole pipeline, and a new start after up to 90 s",
        "the store is sound; the run goes through to its end, or the next one goes on",
        "run again if the run is not `Completed`",
        _server_restarted_in_pipeline,
    ),
    Fault(
        "server-gone",
        "`kill -9` of the server while `prolab run` shows in its dashboard, for good or for up to 90 s",
        "the run goes through to its end, without the server if need be; nothing is made twice",
        "nothing",
        _server_gone,
    ),
    Fault(
        "cancel-after-restart",
        "a worker's run is cancelled after `kill -9` of the server and a new start",
        "no process is left after 40 s; `Cancelled`; answers and training state are taken up",
        "run again",
        _cancelled_after_restart,
    ),
    Fault(
        "locked-database",
        "Prefect's SQLite file is locked for 5 to 90 s while a stage runs",
        "the store is sound; what the stage makes is there, or the next run goes on",
        "run again if the run is not `Completed`; PostgreSQL is not locked as a whole",
        _database_locked,
    ),
]
