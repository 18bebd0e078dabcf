"""Makes the `checkpoint` artifact, in this process or in one for each GPU."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from tasks.stage import StageContext
from tasks.train.processes import count_processes, train_in_processes
from tasks.train.training import train


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Train, going on from the last training state in the workspace if there is one.

    Raises:
        InputError: see `train`; or the batch cannot be shared by the processes.
    """
    processes = count_processes(context.params)
    alone = processes * context.params.nodes == 1
    return train(context) if alone else train_in_processes(context, processes)
