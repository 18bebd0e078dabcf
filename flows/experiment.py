"""An experiment: one YAML file that says how each stage of the pipeline runs.

A joint experiment names others, of a data set each, and trains one network on all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from flows.sequence import Step, chain
from flows.settings import Settings, read_settings
from flows.validation import validate_settings
from prolab_model.config_file import ConfigError
from prolab_model.dataset_config import read_dataset_config
from tasks.cluster import STAGE as CLUSTER
from tasks.cluster import ClusterParams
from tasks.cluster import joint_stage as joint_cluster_stage
from tasks.describe import STAGE as DESCRIBE
from tasks.describe import DescribeParams
from tasks.embed import STAGE as EMBED
from tasks.embed import EmbedParams
from tasks.errors import InputError
from tasks.evaluate import BASELINE_STAGE, EvaluateParams
from tasks.evaluate import STAGE as EVALUATE
from tasks.index import STAGE as INDEX
from tasks.index import IndexParams
from tasks.stage import Stage
from tasks.train import STAGE as TRAIN
from tasks.train import TrainParams, read_recipe
from tasks.train import joint_stage as joint_train_stage

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
        *before, evaluate = chain((stage, getattr(self, section)) for section, stage in self.stages.items())
        return [*before, _beside_baseline(evaluate, self.evaluate.baseline)]


class JointExperiment(BaseModel):
    """Data sets that share their properties and one network; each is described, embedded and measured on its own.

    Attributes:
        name: of the experiment.
        join: the experiment of each data set, by the name that stands before its stages: `camvid.describe`. Its
            sections `dataset`, `describe`, `embed` and `evaluate` count, and `train.base_size`.
        cluster: how the descriptions of all data sets are clustered.
        train: how the network is trained on all data sets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    join: Mapping[str, Experiment]
    cluster: ClusterParams
    train: TrainParams

    def steps(self) -> list[Step]:
        """The stages in the order in which they run; data sets of the same classes are described once."""
        described: dict[tuple[str, ...], str] = {}
        for name, member in self.join.items():
            described.setdefault(member.describe.classes, name)
        steps: list[Step] = []
        for name, member in self.join.items():
            steps.append(Step(f"{name}.index", INDEX, member.dataset, {}))
            if name in described.values():
                steps.append(Step(f"{name}.describe", DESCRIBE, member.describe, {}))
                steps.append(Step(f"{name}.embed", EMBED, member.embed, {"descriptions": f"{name}.describe"}))
        clustered = [f"{name}.embed" for name in described.values()]
        datasets = {name: f"{name}.index" for name in self.join}
        # All may have the same classes; then there is one list of descriptions, as for a single data set.
        stage = CLUSTER if len(described) == 1 else joint_cluster_stage(list(described.values()))
        steps.append(Step("cluster", stage, self.cluster, dict(zip(stage.inputs, clustered, strict=True))))
        inputs = {**datasets, "label_space": "cluster"}
        steps.append(Step("train", joint_train_stage(list(datasets)), self.train, inputs))
        for name, member in self.join.items():
            inputs = {"checkpoint": "train", "dataset": datasets[name]}
            evaluate = Step(f"{name}.evaluate", EVALUATE, member.evaluate, inputs)
            steps.append(_beside_baseline(evaluate, member.evaluate.baseline))
        return steps


def _beside_baseline(evaluate: Step, baseline: str | None) -> Step:
    """The step that evaluates, with the stored evaluation that its figures are held against, if one is named."""
    if baseline is None:
        return evaluate
    return replace(evaluate, stage=BASELINE_STAGE, stored={"baseline": f"evaluation:{baseline}"})


Sections = Mapping[str, Mapping[str, Any]]
"""Values of whole sections of an experiment by name: `describe`, or `camvid.describe` in a joint experiment."""


def load_experiment(
    path: Path, overrides: Sequence[str] = (), sections: Sections = MappingProxyType({})
) -> Experiment | JointExperiment:
    """Read an experiment's file and what it inherits from, and lay overrides (`train.max_iters=200`) on top.

    A section that is given takes the place of the file's; overrides come on top of it.

    Where nothing else is said, `describe.classes` are the data set's classes, and `train` is the recipe in the
    network's config. In a joint experiment `camvid.describe.attempts=5` overrides a key of the data set's experiment.

    Raises:
        InputError: naming the file, the key, the value and what is accepted.
    """
    settings = read_settings(path)
    join = settings.values.get("join")
    if join is None:
        experiment: Experiment | JointExperiment = _load_single(path, overrides, sections)
    else:
        experiment = _load_joint(path, overrides, sections, join)
    log.info("experiment %s of %s", experiment.name, path)
    return experiment


def _load_single(path: Path, overrides: Sequence[str], sections: Sections, prefix: str = "") -> Experiment:
    settings = _read(path, overrides, sections, prefix)
    for section in Experiment.stages:
        if settings.values.get(section) is None:
            settings.values[section] = {}
    _fill_in_classes(settings)
    _fill_in_recipe(settings)
    return validate_settings(settings, Experiment, source=str(path))


def _read(path: Path, overrides: Sequence[str], sections: Sections, prefix: str = "") -> Settings:
    settings = read_settings(path)
    settings.prefix = prefix
    for name, values in sections.items():
        settings.replace(name, values, origin="parameters of the run")
    settings.override(overrides)
    return settings


def _load_joint(path: Path, overrides: Sequence[str], sections: Sections, join: object) -> JointExperiment:
    if not isinstance(join, dict) or len(join) < 2 or not all(isinstance(file, str) for file in join.values()):
        raise InputError(f"{path}: join: expected two names or more, each with the file of an experiment; got {join!r}")
    if taken := sorted(set(join) & {*Experiment.model_fields, *JointExperiment.model_fields}):
        raise InputError(f"{path}: join: {', '.join(taken)}: a section of experiments; name the data set otherwise")
    members, own, own_sections = {}, list(overrides), dict(sections)
    for name, file in join.items():
        prefix = f"{name}."
        its = [override for override in own if override.startswith(prefix)]
        own = [override for override in own if override not in its]
        its_sections = {key.removeprefix(prefix): own_sections.pop(key) for key in sections if key.startswith(prefix)}
        members[name] = _load_single(Path(file), its, its_sections, prefix)
    settings = _read(path, own, own_sections)
    for section in ("cluster", "train"):
        settings.values.setdefault(section, {})
    settings.values["join"] = members
    # What size photos are best seen at is a matter of their data set; the rest of the recipe is the joint network's.
    sizes = {name: member.train.base_size for name, member in members.items()}
    settings.fill_in("train", {"base_sizes": sizes}, origin=str(path))
    _fill_in_recipe(settings)
    return validate_settings(settings, JointExperiment, source=str(path))


def _fill_in_classes(settings: Settings) -> None:
    config = _path(settings, "dataset", "config")
    if config is None or not isinstance(settings.values["describe"], dict):
        return
    try:
        classes = read_dataset_config(config).classes
    except ConfigError as error:
        raise InputError(f"{settings.named(('dataset', 'config'))}: {error}") from error
    settings.fill_in("describe", {"classes": list(classes)}, origin=config)


def _fill_in_recipe(settings: Settings) -> None:
    model = _path(settings, "train", "model")
    if model is None:
        return
    try:
        recipe = read_recipe(Path(model))
    except InputError as error:
        raise InputError(f"{settings.named(('train', 'model'))}: {error}") from error
    settings.fill_in("train", recipe, origin=model)


def _path(settings: Settings, section: str, name: str) -> str | None:
    """A path in a section, if it is there; sections of another shape are refused by the validation, which says more."""
    values = settings.values[section]
    return values[name] if isinstance(values, dict) and isinstance(values.get(name), str) else None
