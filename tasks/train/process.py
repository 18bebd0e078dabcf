"""`python -m tasks.train.process FOLDER`: one of the processes that train together; torchrun starts them."""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import distributed

from tasks.errors import InputError
from tasks.logs import logs_sent_to
from tasks.progress import Figure, ProgressBar
from tasks.stage import StageContext
from tasks.train.processes import CONTEXT, ERROR, EVENT, SUMMARY
from tasks.train.training import STATE, train


def main(folder: Path) -> None:
    """Train; the first process reports, and the first of each machine writes the summary."""
    messages = _take_standard_output()
    context: StageContext = pickle.loads((folder / CONTEXT).read_bytes())
    on_gpu = context.params.device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        with ExitStack() as reporting:
            if distributed.get_rank() == 0:
                reporting.enter_context(logs_sent_to(_EventHandler(messages)))
                context = replace(context, progress=_EventProgress(messages))
            if context.params.nodes > 1:
                _begin_alike(context.workspace)
            summary = train(context)
        if os.environ["LOCAL_RANK"] == "0":
            (folder / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")
    except InputError as error:
        (folder / ERROR).write_text(str(error), encoding="utf-8")
        raise SystemExit(1) from error
    distributed.destroy_process_group()


def _begin_alike(workspace: Path) -> None:
    """Let all machines go on from the training state of the first.

    Raises:
        InputError: they would not train the same checkpoint, or not with as many processes each.
    """
    mine = (workspace.name, int(os.environ["LOCAL_WORLD_SIZE"]))
    gathered: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(gathered, mine)
    if len(set(gathered)) > 1:
        raise InputError(
            "the machines of train.nodes do not train the same: each needs the same code, settings and inputs, and as "
            "many processes. Keys of the checkpoint, and processes: "
            + ", ".join(f"{key[:12]} {processes}" for key, processes in sorted(set(gathered)))
        )
    firsts = list(range(0, len(gathered), mine[1]))
    # By gloo, which needs no room on a GPU.
    group = distributed.new_group(firsts, backend="gloo")
    rank, state = distributed.get_rank(), workspace / STATE
    if rank in firsts:
        sent = [state.read_bytes() if rank == 0 and state.exists() else None]
        distributed.broadcast_object_list(sent, src=0, group=group)
        if rank and sent[0] is not None:
            state.write_bytes(sent[0])
    distributed.barrier()


def _take_standard_output() -> BinaryIO:
    """Standard output for messages alone: what else is printed, by whatever process or library, goes to the errors.

    Lines of several writers would otherwise run into each other.
    """
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return messages


class _EventProgress:
    """Reports to the process that started this one."""

    def __init__(self, messages: BinaryIO) -> None:
        self._messages = messages

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "it", report: Path | None = None) -> Iterator[ProgressBar]:
        yield self

    def advance(self, count: int = 1, **figures: Figure) -> None:
        _send(self._messages, {"advance": count, "figures": figures})


class _EventHandler(logging.Handler):
    def __init__(self, messages: BinaryIO) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        _send(self._messages, {"logger": record.name, "level": record.levelno, "text": record.getMessage()})


def _send(messages: BinaryIO, message: dict[str, Any]) -> None:
    # In one call, which is whole whatever other thread writes: warnings come from autograd's own.
    messages.write(f"{EVENT}{json.dumps(message)}\n".encode())
    messages.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
