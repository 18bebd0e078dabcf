import pytest
from pydantic import ValidationError

from tasks.cluster import ClusterParams


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "expected one of properties, descriptions_per_property, candidates; given are none"),
        ({"properties": 3, "candidates": (2, 3)}, "given are properties, candidates"),
        ({"candidates": (3, 2)}, "the smallest first"),
        ({"candidates": (1, 2)}, "numbers of 2 at least"),
        ({"properties": 3, "naming": {"type": "file", "path": "x"}}, "'medoid', 'llama_cpp', 'openai'"),
    ],
)
def test_wrong_parameters(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ClusterParams(**settings)
