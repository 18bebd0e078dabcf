"""What of a stage's parameters decides its output."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ValidationError

from tasks.kinds import DATASET
from tasks.stage import Runtime, Stage, StageParams


class Provider(BaseModel):
    type: Literal["llm"] = "llm"
    model: str = "a"
    threads: Runtime[int] = 1


class Params(StageParams):
    k: int = 3
    where: Runtime[Path] = Path("photos")
    provider: Provider = Provider()


def test_identity_leaves_out_what_is_only_for_running_at_every_depth() -> None:
    assert Params().identity() == {"k": 3, "provider": {"type": "llm", "model": "a"}}


def test_parameters_are_fixed_and_known() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Params().k = 4
    with pytest.raises(ValidationError, match="Extra inputs"):
        Params(kk=4)


def test_function_is_found_by_its_path() -> None:
    stage = Stage("size", Params, {}, DATASET, function="os.path:getsize", sources=())

    assert stage.load()(Path(__file__)) == Path(__file__).stat().st_size
