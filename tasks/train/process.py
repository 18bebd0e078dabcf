"""`python -m tasks.train.process FOLDER`: one of the processes that train together; torchrun starts them."""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from tasks.errors import InputError
from tasks.logs import LOGGERS
from tasks.progress import Figure, ProgressBar
from tasks.stage import StageContext
from tasks.train.processes import CONTEXT, ERROR, EVENT, SUMMARY
from tasks.train.training import train


def main(folder: Path) -> None:
    """Train; the first process reports, and writes the summary."""
    context: StageContext = pickle.loads((folder / CONTEXT).read_bytes())
    on_gpu = context.params.device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        if distributed.get_rank() == 0:
            _log_as_events()
            context = replace(context, progress=_EventProgress())
        summary = train(context)
        if distributed.get_rank() == 0:
            (folder / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")
    except InputError as error:
        (folder / ERROR).write_text(str(error), encoding="utf-8")
        raise SystemExit(1) from error
    distributed.destroy_process_group()


class _EventProgress:
    """Reports to the process that started this one."""

    @contextmanager
    def bar(self, label: str, total: int, unit: str = "it") -> Iterator[ProgressBar]:
        yield self

    def advance(self, count: int = 1, **figures: Figure) -> None:
        _send({"advance": count, "figures": figures})


class _EventHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        _send({"logger": record.name, "level": record.levelno, "text": record.getMessage()})


def _log_as_events() -> None:
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(_EventHandler())
        logger.propagate = False


def _send(message: dict[str, Any]) -> None:
    print(f"{EVENT}{json.dumps(message)}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
