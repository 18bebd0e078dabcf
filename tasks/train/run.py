"""Makes the `checkpoint` artifact with mmcv's runner."""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import JsonValue
from torch import nn
from torch.utils.data import DataLoader, Subset

from artifacts import Artifact
from prolab_model.checkpoint import ModelCard, save_model
from prolab_model.data import Sample, TrainingCrops, training_pipeline
from prolab_model.label_space import PropertyLabelSpace
from prolab_model.network_config import sized_network
from prolab_model.openmmlab import IterBasedRunner, MMDataParallel, build_segmentor, collate
from prolab_model.optimizer import layer_decay_groups
from prolab_model.pretrained import load_pretrained, read_weights
from prolab_model.segmentor import PropertySegmentor
from tasks.device import choose_device
from tasks.errors import InputError
from tasks.label_space import read_properties
from tasks.progress import ProgressBar
from tasks.stage import StageContext
from tasks.train import TrainParams
from tasks.train.hooks import BackwardHook, CurveHook, ProgressHook, TrainingStateHook
from tasks.train.report import draw_learning_curve, write_curve, write_report
from tasks.train.training_set import TrainingSet, read_class_matrix, read_training_set

log = logging.getLogger(__name__)

STATE = "training_state.pth"


def run(context: StageContext) -> Mapping[str, JsonValue]:
    """Train, going on from the last training state in the workspace if there is one.

    Raises:
        InputError: when label space and data sets have other classes, or the pretrained weights do not fit.
    """
    params: TrainParams = context.params
    training_set, label_space = read_training_set(context.inputs, params), context.inputs["label_space"]
    torch.manual_seed(params.seed)
    network = _network_config(params, label_space, training_set)
    device = choose_device(params.device, "train.device")
    segmentor = _build(network, params, label_space, training_set)
    segmentor.to(device)
    curve = CurveHook(params.log_every)
    with context.progress.bar("train", total=params.max_iters, unit="iterations") as bar:
        runner = _runner(segmentor, params, curve, context.workspace, bar)
        bar.advance(runner.iter)
        runner.run([_loader(params, training_set.samples, runner.iter)], [("train", 1)])

    card = ModelCard(
        network=network,
        classes=training_set.classes,
        datasets=dict(training_set.datasets),
        palette=training_set.palette,
        properties=_property_names(segmentor, label_space, training_set.classes),
        test_scale=params.test_scale,
        base_size=params.base_size,
    )
    save_model(context.output, segmentor, card)
    # A copy: if the run is killed before this is published, the next one still goes on from here.
    shutil.copyfile(context.workspace / STATE, context.output / STATE)
    write_curve(context.output / "metrics.parquet", curve.points)
    draw_learning_curve(context.output / "learning_curve.png", curve.points)
    figures = curve.last()
    write_report(context.output / "report.md", params, card, figures)
    return {"iterations": params.max_iters, **figures}


def _network_config(params: TrainParams, label_space: Artifact, training_set: TrainingSet) -> dict[str, Any]:
    """The network's config, with the sizes that the label space decides; one-hot labels have the classes' alone."""
    network: dict[str, Any] = params.network()
    classes = len(training_set.classes)
    if network["label_space"].get("kind") == "one_hot":
        if training_set.datasets:
            raise InputError(
                f"train.model: {params.model} has one-hot labels, which say nothing of what the classes of "
                f"{', '.join(training_set.datasets)} have in common: expected a network of property labels"
            )
        return sized_network(network, properties=classes, classes=classes, width=classes)
    properties, width = read_properties(label_space).centres.shape
    network["label_space"] |= {"contrast": params.contrast}
    if training_set.datasets:
        network["label_space"] |= {"groups": [len(group) for group in training_set.groups]}
    return sized_network(network, properties=properties, classes=classes, width=width)


def _build(
    network: Mapping[str, Any], params: TrainParams, label_space: Artifact, training_set: TrainingSet
) -> PropertySegmentor:
    segmentor: PropertySegmentor = build_segmentor(dict(copy.deepcopy(network)))
    if params.pretrained is not None:
        try:
            report = load_pretrained(segmentor.backbone, read_weights(params.pretrained))
        except (ModuleNotFoundError, ValueError) as error:
            raise InputError(f"train.pretrained: {params.pretrained}: {error}") from error
        log.info("%s: %s", params.pretrained_name(), report)
    if isinstance(segmentor.label_space, PropertyLabelSpace):
        class_matrix = read_class_matrix(label_space, training_set)
        centres = read_properties(label_space).centres
        segmentor.label_space.assign(torch.from_numpy(centres), torch.from_numpy(class_matrix).float())
    if params.checkpoint_activations:
        turn_on_checkpointing(segmentor.backbone)
    weights = class_weights(training_set.class_pixels, params.class_weight_power)
    segmentor.class_weights.copy_(torch.from_numpy(weights))
    segmentor.autocast = torch.bfloat16 if params.precision == "bfloat16" else None
    return segmentor


def _property_names(segmentor: PropertySegmentor, label_space: Artifact, classes: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(segmentor.label_space, PropertyLabelSpace):
        return read_properties(label_space).names
    return classes


def turn_on_checkpointing(backbone: nn.Module) -> None:
    """Have a backbone compute its activations twice instead of keeping them; mmsegmentation's call this `with_cp`.

    Raises:
        InputError: when the backbone has nothing of the kind.
    """
    switches = [
        (module, name)
        for module in backbone.modules()
        for name in ("checkpoint_activations", "with_cp")
        if hasattr(module, name)
    ]
    if not switches:
        raise InputError(f"train.checkpoint_activations: {type(backbone).__name__} cannot do this")
    for module, name in switches:
        setattr(module, name, True)


def class_weights(class_pixels: npt.NDArray[np.int64], power: float) -> npt.NDArray[np.float32]:
    """Weight of a pixel of each class (N,): its share to minus `power`, scaled so that the mean pixel weighs 1."""
    share = class_pixels / class_pixels.sum()
    weights = np.where(share > 0, np.maximum(share, 1e-12) ** -power, 0.0)
    normalised: npt.NDArray[np.float32] = (weights / (weights * share).sum()).astype(np.float32)
    return normalised


def _runner(
    segmentor: PropertySegmentor, params: TrainParams, curve: CurveHook, workspace: Path, bar: ProgressBar
) -> IterBasedRunner:
    groups = layer_decay_groups(
        segmentor,
        learning_rate=params.learning_rate,
        weight_decay=params.weight_decay,
        decay_rate=params.layer_decay,
        adapter_multiplier=params.adapter_multiplier,
        depth=len(getattr(segmentor.backbone, "blocks", ())),
    )
    runner = IterBasedRunner(
        MMDataParallel(segmentor, device_ids=[0] if segmentor.class_weights.is_cuda else None),
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
    runner.register_hook(BackwardHook(params.clip_norm), priority="ABOVE_NORMAL")
    state = TrainingStateHook(workspace / STATE, params.save_every, curve)
    for hook in (curve, state, ProgressHook(bar, curve)):
        runner.register_hook(hook, priority="LOW")
    state.resume(runner)
    if runner.iter:
        log.info("going on from iteration %d of %d", runner.iter, params.max_iters)
    return runner


def _quiet_logger() -> logging.Logger:
    """What the runner says below a warning is of its hooks and of the host's name, which nobody asked for."""
    logger = logging.getLogger("mmcv_runner")
    logger.setLevel(logging.WARNING)
    return logger


def _loader(params: TrainParams, samples: Sequence[Sample], first_iteration: int) -> DataLoader[Any]:
    """Batches from `first_iteration` to the end of the schedule."""
    crops = TrainingCrops(
        samples,
        length=params.max_iters * params.batch_size,
        seed=params.seed,
        pipeline=training_pipeline((params.crop_size, params.crop_size), params.scale_range),
        class_balanced=params.class_balanced,
    )
    return DataLoader(
        Subset(crops, range(first_iteration * params.batch_size, len(crops))),
        batch_size=params.batch_size,
        num_workers=params.workers,
        collate_fn=partial(collate, samples_per_gpu=params.batch_size),
        worker_init_fn=_one_thread,
        # The loader draws a number when it starts: from its own source, so that a resumed run's dropout is not shifted.
        generator=torch.Generator(),
    )


def _one_thread(worker: int) -> None:
    """OpenCV's own threads would take the cores from the network."""
    cv2.setNumThreads(0)
