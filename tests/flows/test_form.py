"""What Prefect stores of the flows' parameters, of which the dashboard makes its form."""

from typing import Any

import pytest
from prefect.utilities.callables import parameter_schema

from flows.pipeline import prolab_pipeline
from flows.stages import STAGE_FLOWS, describe, embed, train


def _schema(flow: Any) -> dict[str, Any]:
    return parameter_schema(flow).model_dump()


def _fields(flow: Any, model: str) -> dict[str, Any]:
    return _schema(flow)["definitions"][model]["properties"]


@pytest.mark.parametrize("section", STAGE_FLOWS)
def test_a_section_is_the_form_of_its_model_or_not_given(section: str) -> None:
    for flow in (STAGE_FLOWS[section], prolab_pipeline):
        schema = _schema(flow)
        model, nothing = schema["properties"][section]["anyOf"]
        assert nothing == {"type": "null"}
        assert schema["definitions"][model["$ref"].rpartition("/")[2]]["additionalProperties"] is False
        assert schema["required"] == ["experiment"]


@pytest.mark.parametrize("flow", [*STAGE_FLOWS.values(), prolab_pipeline], ids=lambda flow: flow.name)
def test_every_parameter_of_a_flow_is_described(flow: Any) -> None:
    assert all(field.get("description") for field in _schema(flow)["properties"].values())


def test_what_the_docstring_says_of_a_field_stands_at_the_field() -> None:
    for flow, model in ((train, "TrainParams"), (describe, "LlamaCpp"), (describe, "OpenAI")):
        assert {name for name, field in _fields(flow, model).items() if not field.get("description")} <= {"type"}
    fields = _fields(train, "TrainParams")

    assert fields["max_iters"]["description"] == "number of optimizer steps."
    assert _schema(train)["definitions"]["TrainParams"]["description"] == "Network, schedule and augmentation."


def test_names_in_angle_brackets_are_no_tags() -> None:
    """The form shows descriptions as markdown."""
    assert _fields(describe, "LlamaCpp")["model"]["description"].startswith("package:\\<name>, path of a GGUF file")
    assert "`package:<name>`" in _fields(embed, "EmbedParams")["encoder"]["description"]


def test_choices_and_limits() -> None:
    fields = _fields(train, "TrainParams")

    assert fields["precision"]["enum"] == ["float32", "bfloat16", "float16"]
    assert fields["layer_decay"]["maximum"] == 1


def test_unions_are_lists_of_alternatives_that_fill_in_their_type() -> None:
    fields = _fields(describe, "DescribeParams")

    alternatives = [{"$ref": f"#/definitions/{name}"} for name in ("LlamaCpp", "OpenAI", "DescriptorFile")]
    assert fields["provider"]["anyOf"] == alternatives
    assert fields["contrast_provider"]["anyOf"] == [*alternatives[:2], {"type": "null"}]
    assert not {"oneOf", "discriminator"} & set(fields["provider"])
    provider_type = _fields(describe, "OpenAI")["type"]
    assert (provider_type["enum"], provider_type["default"]) == (["openai"], "openai")
