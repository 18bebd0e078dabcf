"""Images a second of the training pipeline by worker count, and the share of a training step that is spent waiting.

Photos of CamVid, base size 2048 x 512, crops of 512 x 512. The pipeline is held against mmsegmentation's own steps,
whose crops are the same to the last bit; the loader is the one that training uses. Run: python -m tests.benchmarks.data
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from prolab_model.config_file import read_config
from prolab_model.data import (
    IMAGE_MEAN,
    IMAGE_STD,
    LabelRules,
    LoadSample,
    Sample,
    TrainingCrops,
    training_pipeline,
)
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import build_segmentor
from tasks.train import TrainParams
from tasks.train.runner import make_loader, make_runner
from tasks.train.step import SteppingModel
from tests.conftest import REPOSITORY

_BASE_SIZE, _CROP, _SCALES = (2048, 512), (512, 512), (0.5, 2.0)
_RULES = LabelRules(ignore_index=11, reduce_zero_label=False)
_NETWORK = REPOSITORY / "configs/models/vit_adapter_demo.py"
_GPU_STEPS = 0.1, 0.25, 0.5
_GPU_BATCH = 16


def read_samples(camvid: Path) -> list[Sample]:
    """The training photos."""
    samples = []
    for image in sorted((camvid / "images/train").iterdir()):
        label = camvid / "labels/train" / f"{image.stem}.png"
        classes = np.unique(cv2.imread(str(label), cv2.IMREAD_UNCHANGED)).tolist()
        samples.append(Sample(image, label, frozenset(classes) - {_RULES.ignore_index}, _RULES, _BASE_SIZE))
    return samples


def mmsegmentations_pipeline() -> list[dict[str, Any]]:
    """The same augmentation by mmsegmentation's own steps, once the files are read."""
    return [
        {"type": LoadSample},
        {"type": "Resize", "img_scale": _BASE_SIZE, "ratio_range": _SCALES},
        {"type": "RandomCrop", "crop_size": _CROP, "cat_max_ratio": 0.75},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PhotoMetricDistortion"},
        {"type": "Normalize", "mean": IMAGE_MEAN, "std": IMAGE_STD, "to_rgb": True},
        {"type": "Pad", "size": _CROP, "pad_val": 0, "seg_pad_val": 255},
        {"type": "DefaultFormatBundle"},
        {"type": "Collect", "keys": ["img", "gt_semantic_seg"], "meta_keys": ["filename", "first_class"]},
    ]


def compare_pipelines(samples: Sequence[Sample], count: int) -> None:
    """Print the milliseconds of a processor that a crop takes by both pipelines."""
    pipelines = {"mmsegmentation's": mmsegmentations_pipeline(), "ours": training_pipeline(_CROP, _SCALES)}
    sides = {name: TrainingCrops(samples, count, 0, steps, class_balanced=0.0) for name, steps in pipelines.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    for number in range(count):
        made = []
        for name, crops in sides.items():  # in turn, so that other work on the machine meets both
            start = time.process_time()
            made.append(crops[number])
            seconds[name].append(time.process_time() - start)
        if not all(torch.equal(made[0][key].data, made[1][key]) for key in ("img", "gt_semantic_seg")):
            raise SystemExit(f"crop {number} differs")
    cv2.setNumThreads(threads)
    theirs, ours = (1000 * statistics.mean(values) for values in seconds.values())
    print(f"a crop takes a processor: mmsegmentation {theirs:.1f} ms, ours {ours:.1f} ms, ratio {theirs / ours:.2f}")


def params(workers: int, batch_size: int, batches: int) -> TrainParams:
    """Training with crops drawn as by default, half of them around a class."""
    return TrainParams(model=_NETWORK, max_iters=batches, batch_size=batch_size, workers=workers, base_size=_BASE_SIZE)


def measure_loading(samples: Sequence[Sample], workers: int, batches: int) -> tuple[float, float]:
    """Seconds until the first batch, and images a second once what the workers did meanwhile is used up."""
    used_up = 2 * workers + 1
    start = time.perf_counter()
    loader: Iterator[Any] = iter(make_loader(params(workers, _GPU_BATCH, used_up + batches), samples, 0))
    next(loader)
    first = time.perf_counter() - start
    for _ in range(used_up - 1):
        next(loader)
    start = time.perf_counter()
    for _ in range(batches):
        next(loader)
    return first, batches * _GPU_BATCH / (time.perf_counter() - start)


def measure_training(samples: Sequence[Sample], workers: int, steps: int, batch_size: int) -> tuple[float, float]:
    """Seconds of a step of the smallest network on the CPU, with the wait for its batch, and the share of the wait."""
    training = params(workers, batch_size, steps + 1)
    network = sized_network(read_config(_NETWORK)["model"], properties=24, classes=11, width=384)
    segmentor = build_segmentor(network)
    segmentor.label_space.assign(torch.randn(24, 384), torch.eye(24)[:11] + torch.eye(24)[11:22])
    model = SteppingModel(segmentor.train(), training)
    optimizer = make_runner(model, training).optimizer
    loader = iter(make_loader(training, samples, 0))
    model.train_step(next(loader), optimizer)
    waited, began = 0.0, time.perf_counter()
    for _ in range(steps):
        start = time.perf_counter()
        batch = next(loader)
        waited += time.perf_counter() - start
        model.train_step(batch, optimizer)
    whole = time.perf_counter() - began
    return whole / steps, waited / whole


def main() -> None:
    """Print a table by worker count."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("PROLAB_SHARED", REPOSITORY.parent / "shared"))
    parser.add_argument("--camvid", type=Path, default=shared / "data/camvid")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--crops", type=int, default=200)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=4, help="of the network that is trained here")
    arguments = parser.parse_args()
    samples = read_samples(arguments.camvid)
    compare_pipelines(samples, arguments.crops)
    cores = len(os.sched_getaffinity(0))
    print(
        f"\n{cores} cores; batches of {_GPU_BATCH}; the share of a GPU's step that would be spent waiting is computed"
    )
    waits = "".join(f"  GPU at {step:.2f} s" for step in _GPU_STEPS)
    print(f"workers  first batch s  images/s{waits}  CPU step s  of it waiting")
    for workers in arguments.workers:
        first, rate = measure_loading(samples, workers, arguments.batches)
        step, share = measure_training(samples, workers, arguments.steps, arguments.batch_size)
        shares = "".join(f"  {_share(_GPU_BATCH / rate, busy, workers):13.0%}" for busy in _GPU_STEPS)
        print(f"{workers:7}  {first:13.2f}  {rate:8.0f}{shares}  {step:10.2f}  {share:13.1%}", flush=True)


def _share(loading: float, busy: float, workers: int) -> float:
    """Share of a step that a GPU waits: workers load while it is busy, the process itself does not."""
    waiting = max(0.0, loading - busy) if workers else loading
    return waiting / (waiting + busy)


if __name__ == "__main__":
    main()
