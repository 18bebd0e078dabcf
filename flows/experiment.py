"""An experiment: one YAML file that says how each stage of the pipeline runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from flows.sequence import Step
from flows.settings import Settings, read_settings
from flows.validation import validate_settings
from prolab_model.config_file import ConfigError
from prolab_model.dataset_config import read_dataset_config
from tasks.cluster import STAGE as CLUSTER
from tasks.cluster import ClusterParams
from tasks.describe import STAGE as DESCRIBE
from tasks.describe import DescribeParams
from tasks.embed import STAGE as EMBED
from tasks.embed import EmbedParams
from tasks.errors import InputError
from tasks.evaluate import STAGE as EVALUATE
from tasks.evaluate import EvaluateParams
from tasks.index import STAGE as INDEX
from tasks.index import IndexParams
from tasks.stage import Stage
from tasks.train import STAGE as TRAIN
from tasks.train import TrainParams, read_recipe

log = logging.getLogger(__name__)


class Experiment(BaseModel):
    """All parameters of a run of the pipeline; each section holds those of one stage."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dataset: IndexParams
    describe: DescribeParams
    embed: EmbedParams
    cluster: ClusterParams
    train: TrainParams
    evaluate: EvaluateParams

    # In the order in which they run.
    stages: ClassVar[Mapping[str, Stage]] = {
        "dataset": INDEX,
        "describe": DESCRIBE,
        "embed": EMBED,
        "cluster": CLUSTER,
        "train": TRAIN,
        "evaluate": EVALUATE,
    }

    def steps(self) -> list[Step]:
        """The stages in the order in which they run."""
        return [Step(stage, getattr(self, section)) for section, stage in self.stages.items()]


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read an experiment's file and what it inherits from, and lay overrides (`train.max_iters=200`) on top.

    Where nothing else is said, `describe.classes` are the data set's classes, and `train` is the recipe in the
    network's config.

    Raises:
        InputError: naming the file, the key, the value and what is accepted.
    """
    settings = read_settings(path, overrides)
    for section in Experiment.stages:
        if settings.values.get(section) is None:
            settings.values[section] = {}
    _fill_in_classes(settings)
    _fill_in_recipe(settings)
    experiment = validate_settings(settings, Experiment, source=str(path))
    log.info("experiment %s of %s", experiment.name, path)
    return experiment


def _fill_in_classes(settings: Settings) -> None:
    config = _path(settings, "dataset", "config")
    if config is None or not isinstance(settings.values["describe"], dict):
        return
    try:
        classes = read_dataset_config(config).classes
    except ConfigError as error:
        raise InputError(f"{settings.origin(('dataset', 'config'))}: dataset.config: {error}") from error
    settings.fill_in("describe", {"classes": list(classes)}, origin=config)


def _fill_in_recipe(settings: Settings) -> None:
    model = _path(settings, "train", "model")
    if model is None:
        return
    try:
        recipe = read_recipe(Path(model))
    except InputError as error:
        raise InputError(f"{settings.origin(('train', 'model'))}: {error}") from error
    settings.fill_in("train", recipe, origin=model)


def _path(settings: Settings, section: str, name: str) -> str | None:
    """A path in a section, if it is there; sections of another shape are refused by the validation, which says more."""
    values = settings.values[section]
    return values[name] if isinstance(values, dict) and isinstance(values.get(name), str) else None
