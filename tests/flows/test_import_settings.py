"""How `prolab import labels` is told of the encoder."""

from __future__ import annotations

import pytest

from flows.import_settings import read_embed_params
from tasks.embed import EmbedParams
from tasks.errors import InputError


def test_the_encoder_alone_is_used_as_in_the_paper() -> None:
    assert read_embed_params("./mine") == EmbedParams(encoder="./mine")


def test_overrides_are_those_of_an_experiment() -> None:
    overrides = ["embed.template=a {category}, which has {text}", "embed.normalize=false", "embed.device=cpu"]
    assert read_embed_params("mine", overrides) == EmbedParams(
        encoder="mine", template="a {category}, which has {text}", normalize=False, device="cpu"
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("embed.lowercase=true", "embed.lowercase: unknown key; did you mean 'lower_case'? accepted are encoder, "),
        ("embed.pooling=max", "embed.pooling: got 'max'; accepted are mean, cls"),
        ("embed.template=a phrase", "embed.template: expected a template with {text}"),
        ("train.max_iters=3", "train: unknown key; accepted are embed"),
        ("embed.device", "expected KEY=VALUE"),
    ],
)
def test_wrong_overrides_are_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_embed_params("mine", [override])
    assert str(error.value).startswith(f"--set {override}: {message}")
