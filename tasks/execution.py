"""Runs one stage: asks the store for what it would make, and calls it when that is not there."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import JsonValue

from artifacts import Artifact, Recipe, Store, code_fingerprint
from tasks.progress import Progress, SilentProgress
from tasks.stage import Stage, StageContext, StageParams

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageResult:
    """What became of a stage.

    Attributes:
        hit: the store had the artifact, and nothing ran.
        seconds: wall time, that of the look into the store included.
        peak_memory_bytes: highest resident size while the stage ran; None on a hit.
    """

    stage: str
    artifact: Artifact
    hit: bool
    seconds: float
    peak_memory_bytes: int | None


def plan_stage(stage: Stage, params: StageParams, inputs: Mapping[str, Artifact], store: Store) -> Recipe:
    """What decides the artifact that the stage would make, without making it.

    Raises:
        InputError: a file outside the store that the parameters name is missing or wrong.
        TypeError: the inputs are not those that the stage declares.
    """
    expected = {name: kind.name for name, kind in stage.inputs.items()}
    given = {name: artifact.kind for name, artifact in inputs.items()}
    if given != expected:
        raise TypeError(f"stage {stage.name} takes the inputs {expected}, got {given}")
    identity = params.identity()
    return Recipe(
        stage=stage.name,
        kind=stage.output,
        code=f"{stage.version}-{code_fingerprint(stage.sources)}",
        parameters=identity,
        inputs=inputs,
        external=params.external(store.file_hashes),
        recorded=_left_out(params.model_dump(mode="json"), identity),
    )


def run_stage(
    stage: Stage,
    params: StageParams,
    inputs: Mapping[str, Artifact],
    store: Store,
    progress: Progress,
    force: bool = False,
) -> StageResult:
    """Return the stage's artifact from the store, or make it; `force` makes it in any case.

    Raises:
        InputError: what a user gave is wrong.
        StoreError: the store cannot take the artifact.
    """
    started = time.perf_counter()
    recipe = plan_stage(stage, params, inputs, store)

    def write(output: Path) -> Mapping[str, JsonValue]:
        log.info("%s: running", stage.name)
        return stage.load()(
            StageContext(
                params=params,
                inputs=inputs,
                output=output,
                workspace=store.workspace(recipe),
                cache=store.cache(stage.name),
                progress=progress,
            )
        )

    artifact, hit = store.build(recipe, write, force=force)
    seconds = time.perf_counter() - started
    log.info("%s: %s %s in %.1f s", stage.name, "cached" if hit else "built", artifact.reference, seconds)
    return StageResult(
        stage=stage.name,
        artifact=artifact,
        hit=hit,
        seconds=seconds,
        peak_memory_bytes=None if hit else artifact.manifest.peak_memory_bytes,
    )


def assist_stage(stage: Stage, params: StageParams, inputs: Mapping[str, Artifact], store: Store) -> None:
    """Do this machine's share of what another one makes and publishes; nothing of it goes into the store.

    The store's locks are left alone: the machine that publishes may share the store, and holds the key's.

    Raises:
        InputError: what a user gave is wrong.
    """
    recipe = plan_stage(stage, params, inputs, store)
    log.info("%s: doing a share of %s", stage.name, recipe.key)
    with TemporaryDirectory(prefix="prolab-") as folder:
        output, workspace = Path(folder) / "output", Path(folder) / recipe.key
        output.mkdir()
        workspace.mkdir()
        stage.load()(
            StageContext(
                params=params,
                inputs=inputs,
                output=output,
                workspace=workspace,
                cache=store.cache(stage.name),
                progress=SilentProgress(),
            )
        )


def _left_out(values: Mapping[str, JsonValue], identity: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The parameters that are not part of the key."""
    rest: dict[str, JsonValue] = {}
    for name, value in values.items():
        kept = identity.get(name)
        if name not in identity:
            rest[name] = value
        elif isinstance(value, dict) and isinstance(kept, dict) and (inner := _left_out(value, kept)):
            rest[name] = inner
    return rest
