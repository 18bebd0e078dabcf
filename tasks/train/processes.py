"""Trains on several processes of this machine, and of others, which torchrun starts and ends."""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue

from tasks.errors import InputError
from tasks.progress import ProgressBar, SilentProgress
from tasks.stage import StageContext
from tasks.train import TrainParams
from tasks.train.report import REPORT

CONTEXT, ERROR, SUMMARY = "context.pickle", "error.txt", "summary.json"
OUTPUT = "output.txt"
EVENT = "\x1e"
"""Begins a line of standard output that is a message to the process that started training, as JSON."""

_PATIENCE_WITH_NODES = 1800  # seconds that the first machine waits for the others, and they for it
_PATIENCE = 10.0  # seconds from asking the processes to end to ending them
_SHOWN_LINES = 80


def count_processes(params: TrainParams) -> int:
    """How many processes train on this machine: as many as there are GPUs where nothing else is said, and one on a CPU.

    Raises:
        InputError: the crops of a step cannot be shared equally.
    """
    processes = params.processes
    if processes is None:
        processes = max(1, torch.cuda.device_count()) if params.device != "cpu" else 1
    parts = params.nodes * processes * params.accumulate
    if params.batch_size % parts:
        raise InputError(
            f"train.batch_size: {params.batch_size} crops cannot be shared by {params.nodes * processes} processes in "
            f"{params.accumulate} parts (train.nodes, train.processes, train.accumulate): expected a multiple of "
            f"{parts}"
        )
    if params.batch_size // params.accumulate < 2:
        raise InputError(
            f"train.accumulate: {params.accumulate} parts of {params.batch_size} crops: expected two crops in each "
            "part at least, over which batch norm can take a variance"
        )
    return processes


def train_in_processes(context: StageContext, processes: int) -> Mapping[str, JsonValue]:
    """Let torchrun start the processes, and show what the first of them reports.

    Raises:
        InputError: raised by one of them.
        RuntimeError: they ended otherwise; with the last lines that they wrote.
    """
    with tempfile.TemporaryDirectory(prefix="prolab-train-") as name:
        folder = Path(name)
        (folder / CONTEXT).write_bytes(pickle.dumps(replace(context, progress=SilentProgress())))
        command = [sys.executable, "-m", "torch.distributed.run", *_nodes(context.params)]
        with (folder / OUTPUT).open("wb") as output:
            started = subprocess.Popen(
                [*command, f"--nproc-per-node={processes}", "-m", "tasks.train.process", name],
                env=_environment(processes),
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                # A Ctrl-C is for this process, which ends the others in order.
                start_new_session=True,
            )
        try:
            assert started.stdout is not None
            report = context.workspace / REPORT
            with context.progress.bar("train", context.params.max_iters, "iterations", report) as bar:
                for line in started.stdout:
                    _, event, message = line.partition(EVENT)
                    if event:
                        _show(json.loads(message), bar)
            code = started.wait()
        finally:
            _end(started)
        if (folder / ERROR).exists():
            raise InputError((folder / ERROR).read_text(encoding="utf-8"))
        if code:
            with (folder / OUTPUT).open(encoding="utf-8", errors="replace") as output:
                last_lines = "".join(deque(output, maxlen=_SHOWN_LINES))
            raise RuntimeError(f"training on {processes} processes ended with code {code}:\n{last_lines}")
        summary: Mapping[str, JsonValue] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        return summary


def _nodes(params: TrainParams) -> list[str]:
    """Options of torchrun: which machines there are, and where they meet."""
    if params.nodes == 1:
        return ["--standalone"]
    return [
        f"--nnodes={params.nodes}",
        f"--node-rank={params.node_rank}",
        # Of its ways to meet, the one in which machines have the numbers that they are given.
        "--rdzv-backend=static",
        f"--rdzv-endpoint={params.rendezvous}",
        f"--rdzv-conf=timeout={_PATIENCE_WITH_NODES}",
    ]


def _environment(processes: int) -> dict[str, str]:
    """The environment of this process with its modules; each has its share of the cores where nothing else is said."""
    threads = max(1, (os.cpu_count() or 1) // processes)
    return {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _show(message: Mapping[str, Any], bar: ProgressBar) -> None:
    if "advance" in message:
        bar.advance(message["advance"], **message["figures"])
    else:
        logging.getLogger(message["logger"]).log(message["level"], "%s", message["text"])


def _end(started: subprocess.Popen[str]) -> None:
    if started.poll() is not None:
        return
    started.terminate()
    try:
        started.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()
