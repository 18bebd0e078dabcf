"""mmcv's runner with its hooks, and the crops that it is fed with."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Sequence
from multiprocessing.util import Finalize
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from prolab_model.data import Sample, TrainingCrops, collate_crops, training_pipeline
from prolab_model.openmmlab import IterBasedRunner, get_dist_info
from prolab_model.optimizer import layer_decay_groups
from tasks.train import TrainParams
from tasks.train.step import SteppingModel


def make_runner(model: SteppingModel, params: TrainParams) -> IterBasedRunner:
    """A runner that trains the model by the schedule."""
    segmentor = model.module
    groups = layer_decay_groups(
        segmentor,
        learning_rate=params.learning_rate,
        weight_decay=params.weight_decay,
        decay_rate=params.layer_decay,
        adapter_multiplier=params.adapter_multiplier,
        depth=len(getattr(segmentor.backbone, "blocks", ())),
    )
    runner = IterBasedRunner(
        model,
        optimizer=torch.optim.AdamW(groups, fused=True),
        logger=_quiet_logger(),
        max_iters=params.max_iters,
        meta={},
    )
    warmup = round(params.warmup * params.max_iters)
    schedule = {"policy": "poly", "power": params.poly_power, "min_lr": 0.0, "by_epoch": False}
    if warmup:
        schedule |= {"warmup": "linear", "warmup_iters": warmup, "warmup_ratio": 1e-6}
    runner.register_training_hooks(schedule)
    return runner


def _quiet_logger() -> logging.Logger:
    """What the runner says below a warning is of its hooks and of the host's name, which nobody asked for."""
    logger = logging.getLogger("mmcv_runner")
    logger.setLevel(logging.WARNING)
    return logger


def make_loader(params: TrainParams, samples: Sequence[Sample], first_iteration: int) -> DataLoader[Any]:
    """Batches from `first_iteration` to the end of the schedule; of each, the share of the process that asks."""
    crops = TrainingCrops(
        samples,
        length=params.max_iters * params.batch_size,
        seed=params.seed,
        pipeline=training_pipeline((params.crop_size, params.crop_size), params.scale_range),
        class_balanced=params.class_balanced,
    )
    rank, processes = get_dist_info()
    share = params.batch_size // processes
    numbers = np.arange(first_iteration * params.batch_size, len(crops)).reshape(-1, processes, share)[:, rank].ravel()
    return DataLoader(
        crops,
        sampler=numbers,
        batch_size=share,
        num_workers=params.workers,
        collate_fn=collate_crops,
        worker_init_fn=_begin_loading,
        pin_memory=torch.cuda.is_available(),
        # The loader draws a number when it starts: from its own source, so that a resumed run's dropout is not shifted.
        generator=torch.Generator(),
    )


def _begin_loading(worker: int) -> None:
    # OpenCV's own threads would take the cores from the network.
    cv2.setNumThreads(0)
    # A signal to the whole process group is meant for the process that trains. If this one died of it, and did not just
    # exit, torch would raise an error there, in the middle of its cleaning up.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    # Nor would Prefect's threads, which were not forked with the rest, let this process end as one whose work is done.
    Finalize(None, os._exit, args=(0,), exitpriority=0)
