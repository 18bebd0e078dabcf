"""Trains the network in this process, alone or as one of several, and writes the checkpoint."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from typing import Any

import torch
from pydantic import JsonValue

from prolab_model.checkpoint import ModelCard, save_model
from prolab_model.image_files import ImageFileError
from prolab_model.openmmlab import Hook, get_dist_info
from prolab_model.segmentor import PropertySegmentor
from tasks.device import choose_device
from tasks.errors import InputError
from tasks.stage import StageContext
from tasks.train import TrainParams
from tasks.train.board import Board, BoardHook, Examples
from tasks.train.curve import CurveHook
from tasks.train.hooks import ProgressHook, TrainingStateHook
from tasks.train.network import build_network, network_config, property_names
from tasks.train.report import EXAMPLES, REPORT, ReportHook, write_curve, write_report
from tasks.train.runner import make_loader, make_runner
from tasks.train.step import SteppingModel
from tasks.train.training_set import TrainingSet, read_training_set
from tasks.train.validation import Best, ValidationHook, read_validation_sets

log = logging.getLogger(__name__)

STATE = "training_state.pth"
_BEST = "best.safetensors"
_BOARD = "tensorboard"
_RANDOM_STRIDE = 2**32  # between the seeds of two processes, whose dropout must differ


def train(context: StageContext) -> Mapping[str, JsonValue]:
    """Train, going on from the last training state in the workspace if there is one.

    Raises:
        InputError: when label space and data sets have other classes, the pretrained weights do not fit, or the loss
            is no number any more.
    """
    params: TrainParams = context.params
    rank, _ = get_dist_info()
    training_set, label_space = read_training_set(context.inputs, params), context.inputs["label_space"]
    torch.manual_seed(params.seed)
    network = network_config(params, label_space, training_set)
    device = choose_device(params.device, "train.device")
    segmentor = build_network(network, params, label_space, training_set).to(device)
    model = SteppingModel(segmentor, params)
    if rank:
        torch.manual_seed(params.seed + rank * _RANDOM_STRIDE)

    curve = CurveHook(params.log_every, checks=params.save_every)
    best = None if params.validate_every is None else Best(context.workspace / _BEST)
    state = TrainingStateHook(context.workspace / STATE, params.save_every, curve, best)
    runner = make_runner(model, params)
    state.resume(runner)
    if runner.iter:
        log.info("going on from iteration %d of %d", runner.iter, params.max_iters)
    board = Board(context.workspace / _BOARD, runner.iter) if params.tensorboard and not rank else None
    report = ReportHook(context.workspace, params, curve)
    hooks: list[Hook] = [curve]
    if best is not None:
        sets = read_validation_sets(context.inputs, training_set, params)
        shown: list[Examples] = [] if rank else [report, *([board] if board else [])]
        hooks.append(ValidationHook(sets, params, curve, best, shown))
    hooks.append(state)
    if not rank:
        hooks.append(report)
    if board is not None:
        hooks.append(BoardHook(board, curve))
    with context.progress.bar("train", params.max_iters, "iterations", context.workspace / REPORT) as bar:
        for hook in (*hooks, ProgressHook(bar, curve)):
            runner.register_hook(hook, priority="LOW")
        bar.advance(runner.iter)
        try:
            runner.run([make_loader(params, training_set.samples, runner.iter)], [("train", 1)])
        except ImageFileError as error:
            # One that comes from a loading process ends with its own words.
            cause = str(error).splitlines()[-1].partition("ImageFileError: ")[2] or str(error)
            raise InputError(f"{cause}; it could be read when the data set was indexed") from error
    if board is not None:
        board.close()
    if not rank:
        if params.keep == "best":
            assert best is not None, "by validation"
            log.info("keeping the weights of iteration %d: mIoU %.2f", best.iteration, 100 * best.miou)
            best.load_into(model.trained)
        card = _card(params, network, training_set, property_names(segmentor, label_space, training_set.classes))
        _write_checkpoint(context, model.trained, card, curve)
    return {"iterations": params.max_iters, **curve.last()}


def _card(
    params: TrainParams, network: dict[str, Any], training_set: TrainingSet, properties: tuple[str, ...]
) -> ModelCard:
    return ModelCard(
        network=network,
        classes=training_set.classes,
        datasets=dict(training_set.datasets),
        palette=training_set.palette,
        properties=properties,
        test_scale=params.test_scale,
        base_size=params.base_size,
    )


def _write_checkpoint(context: StageContext, segmentor: PropertySegmentor, card: ModelCard, curve: CurveHook) -> None:
    save_model(context.output, segmentor, card)
    # Copies: if the run is killed before this is published, the next one still goes on from here.
    shutil.copyfile(context.workspace / STATE, context.output / STATE)
    if context.params.tensorboard:
        shutil.copytree(context.workspace / _BOARD, context.output / _BOARD)
    write_curve(context.output / "metrics.parquet", curve.points)
    if (examples := context.workspace / EXAMPLES).exists():
        shutil.copyfile(examples, context.output / EXAMPLES)
    write_report(context.output, context.params, curve.points, card)
