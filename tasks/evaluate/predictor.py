"""The predictor that the settings of `evaluate` describe."""

from __future__ import annotations

import torch

from prolab_model.checkpoint import ModelCard
from prolab_model.predictor import Predictor
from prolab_model.segmentor import PropertySegmentor
from tasks.device import choose_device
from tasks.evaluate import EvaluateParams


def make_predictor(segmentor: PropertySegmentor, card: ModelCard, params: EvaluateParams) -> Predictor:
    """Show the network photos at the size that it was trained for.

    Raises:
        InputError: there is no such device.
    """
    device = choose_device(params.device, "evaluate.device")
    autocast = torch.bfloat16 if params.precision == "bfloat16" else None
    return Predictor(
        segmentor, card.test_scale, card.base_size, device, autocast, scales=params.scales, flip=params.flip
    )
