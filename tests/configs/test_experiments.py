"""The experiments on the paper's data sets are the paper's."""

from __future__ import annotations

import pytest

from flows.experiment import load_experiment
from prolab_model.dataset_config import read_dataset_config
from tests.conftest import REPOSITORY

# Properties, classes, and the long and short side that photos are fitted into.
PAPER = {
    "ade20k": (256, 150, (2048, 512)),
    "coco_stuff_164k": (256, 171, (2048, 512)),
    "pascal_context_59": (128, 59, (2048, 512)),
    "cityscapes": (32, 19, (2048, 1024)),
    "bdd100k": (32, 19, (2048, 1024)),
}


@pytest.mark.parametrize("name", PAPER)
def test_experiment_is_the_papers(name: str) -> None:
    properties, classes, base_size = PAPER[name]
    experiment = load_experiment(REPOSITORY / "configs" / "experiments" / f"{name}.yaml")

    assert experiment.name == name
    assert experiment.describe.classes == read_dataset_config(experiment.dataset.config).classes
    assert len(experiment.describe.classes) == classes
    assert experiment.cluster.properties == properties
    embed = experiment.embed
    assert (embed.encoder, embed.pooling, embed.lower_case) == ("BAAI/bge-base-en-v1.5", "mean", True)
    assert experiment.train.model == REPOSITORY / "configs" / "models" / f"{name}_vit_adapter_b.py"
    assert (experiment.train.max_iters, experiment.train.base_size) == (160_000, base_size)


def test_the_networks_of_one_experiment_can_be_exchanged() -> None:
    """What another network's recipe says takes the place of the first one's."""
    path = REPOSITORY / "configs" / "experiments" / "ade20k.yaml"
    large = REPOSITORY / "configs" / "models" / "ade20k_beit_adapter_l_640.py"

    train = load_experiment(path, [f"train.model={large}"]).train

    assert (train.crop_size, train.learning_rate, train.precision) == (640, 2e-5, "float32")
