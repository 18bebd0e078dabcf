"""Running one stage through the store."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from artifacts import Kind, Store, StoreError
from tasks.errors import InputError
from tasks.execution import plan_stage, run_stage
from tasks.progress import SilentProgress
from tasks.stage import Runtime, Stage, StageContext, StageParams

NUMBERS = Kind(
    "numbers",
    tables={"numbers.parquet": pa.schema([pa.field("n", pa.int64(), nullable=False)])},
    content=("numbers.parquet",),
)
CALLS: list[StageContext] = []


class CountParams(StageParams):
    to: int = 3
    source: Runtime[Path | None] = None

    def external(self, hashes: Any) -> dict[str, Any]:
        return {"source": hashes.hash(self.source)} if self.source else {}


class ScaleParams(StageParams):
    factor: int = 2


def count(context: StageContext) -> dict[str, int]:
    """Writes the numbers below `to`; fails at 13 after it has left something in the workspace."""
    CALLS.append(context)
    visits = context.workspace / "visits"
    visits.write_text(visits.read_text() + "x" if visits.exists() else "x")
    if context.params.to == 13 and visits.read_text() == "x":
        raise InputError("to: expected no 13")
    write(context, list(range(context.params.to)))
    return {"count": context.params.to, "visits": len(visits.read_text())}


def scale(context: StageContext) -> dict[str, int]:
    numbers = context.inputs["numbers"].table("numbers.parquet")["n"].to_pylist()
    write(context, [context.params.factor * number for number in numbers])
    return {}


def write(context: StageContext, numbers: list[int]) -> None:
    table = pa.table({"n": numbers}, schema=NUMBERS.tables["numbers.parquet"])
    pyarrow.parquet.write_table(table, context.output / "numbers.parquet")


COUNT = Stage("count", CountParams, {}, NUMBERS, f"{__name__}:count", sources=("tasks.errors",))
SCALE = Stage("scale", ScaleParams, {"numbers": NUMBERS}, NUMBERS, f"{__name__}:scale", sources=("tasks.errors",))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    CALLS.clear()
    return Store(tmp_path / "store")


def run(store: Store, stage: Stage = COUNT, inputs: dict[str, Any] | None = None, force: bool = False, **params: Any):
    return run_stage(stage, stage.params(**params), inputs or {}, store, SilentProgress(), force)


def test_a_stage_runs_once(store: Store) -> None:
    first, second = run(store), run(store)

    assert (first.hit, second.hit) == (False, True)
    assert first.artifact == second.artifact
    assert first.artifact.table("numbers.parquet")["n"].to_pylist() == [0, 1, 2]
    assert first.artifact.manifest.summary == {"count": 3, "visits": 1}
    assert first.peak_memory_bytes is not None
    assert first.peak_memory_bytes > 0
    assert second.peak_memory_bytes is None
    assert len(CALLS) == 1


def test_force_runs_it_again(store: Store) -> None:
    run(store)

    assert not run(store, force=True).hit
    assert len(CALLS) == 2


def test_inputs_reach_the_stage(store: Store) -> None:
    numbers = run(store).artifact

    scaled = run(store, SCALE, {"numbers": numbers}, factor=10)

    assert scaled.artifact.table("numbers.parquet")["n"].to_pylist() == [0, 10, 20]
    assert scaled.artifact.manifest.inputs["numbers"].version == numbers.version


def test_wrong_inputs_are_refused(store: Store) -> None:
    with pytest.raises(TypeError, match=r"stage scale takes the inputs \{'numbers': 'numbers'\}, got \{\}"):
        run(store, SCALE)


def test_workspace_survives_a_failure_and_goes_when_the_artifact_is_there(store: Store) -> None:
    with pytest.raises(InputError):
        run(store, to=13)
    assert store.list() == []

    assert run(store, to=13).artifact.manifest.summary["visits"] == 2
    assert not CALLS[-1].workspace.exists()


def test_cache_is_shared_by_the_runs_of_a_stage(store: Store) -> None:
    run(store, to=1)
    run(store, to=2)

    assert CALLS[0].cache == CALLS[1].cache
    assert CALLS[0].workspace != CALLS[1].workspace


def test_key_has_what_decides_the_output_and_the_manifest_the_rest(store: Store, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_text("x")
    copy.write_text("x")

    first = plan_stage(COUNT, CountParams(source=source), {}, store)
    second = plan_stage(COUNT, CountParams(source=copy), {}, store)

    assert first.key == second.key
    assert first.parameters == {"to": 3}
    assert first.recorded == {"source": str(source)}
    copy.write_text("y")
    assert plan_stage(COUNT, CountParams(source=copy), {}, store).key != first.key


def test_stage_version_is_in_the_key(store: Store) -> None:
    newer = Stage("count", CountParams, {}, NUMBERS, COUNT.function, COUNT.sources, version=2)

    assert plan_stage(newer, CountParams(), {}, store).key != plan_stage(COUNT, CountParams(), {}, store).key


def test_what_a_stage_writes_is_checked(store: Store) -> None:
    letters = Kind("letters", tables={"letters.parquet": pa.schema([pa.field("a", pa.string())])})
    stage = Stage("count", CountParams, {}, letters, COUNT.function, COUNT.sources)

    with pytest.raises(StoreError, match=r"letters\.parquet"):
        run(store, stage)
    assert store.list() == []
