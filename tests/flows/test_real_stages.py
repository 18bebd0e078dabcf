"""What must hold of the pipeline with its real stages: the encoder, the network and the report are the true ones."""

from __future__ import annotations

import dataclasses
import json
import signal
import time
from pathlib import Path

import pytest
from processes import Prolab

pytestmark = pytest.mark.slow

STAGES = ["index", "describe", "embed", "cluster", "train", "evaluate"]


def built(states: dict[str, str]) -> list[str]:
    return [stage for stage in STAGES if states[stage] == "Built"]


def payload(prolab: Prolab, kind: str, name: str) -> Path:
    (path,) = (prolab.folder / "store" / "artifacts" / kind).glob(f"*/{name}")
    return path


def test_a_change_rebuilds_what_lies_behind_it_and_nothing_else(real_prolab: Prolab) -> None:
    assert built(real_prolab.states()) == STAGES
    report = payload(real_prolab, "evaluation", "report.html").read_text(encoding="utf-8")
    assert "mean IoU" in report
    assert "<script>alert(1)" not in report

    assert built(real_prolab.states()) == []

    descriptions = real_prolab.folder / "squares.json"
    texts = json.loads(descriptions.read_text())
    descriptions.write_text(json.dumps(texts, indent=4))
    assert built(real_prolab.states()) == ["describe"], "the same words in another file"

    assert built(real_prolab.states("--set", "train.learning_rate=1e-3")) == ["train", "evaluate"]

    texts["pond"].append("Surrounded by reeds")
    descriptions.write_text(json.dumps(texts))
    assert built(real_prolab.states()) == ["describe", "embed", "cluster", "train", "evaluate"]


def test_a_run_that_shows_in_a_dashboard_ends_in_order(
    real_prolab: Prolab, prefect_environment: dict[str, str]
) -> None:
    prolab = dataclasses.replace(real_prolab, environment=real_prolab.environment | prefect_environment)

    done = prolab("run", "experiment.yaml", "--set", "train.workers=1")

    assert done.returncode == 0, done.stderr
    assert "Finished in state Completed()" in done.stderr
    # Processes that load photos are forked beside Prefect's threads; torch complains of one that ends with an error.
    assert "Traceback" not in done.stderr


def test_a_damaged_checkpoint_is_named_and_rebuilt(real_prolab: Prolab) -> None:
    real_prolab.states()
    weights = payload(real_prolab, "checkpoint", "model.safetensors")
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(content)

    verified = real_prolab("artifacts", "verify")
    assert verified.returncode == 3
    assert "model.safetensors" in verified.stdout + verified.stderr
    # Training is repeatable, so what lies behind the rebuilt checkpoint still holds.
    assert built(real_prolab.states()) == ["train"]
    assert real_prolab("artifacts", "verify").returncode == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
def test_training_goes_on_after_a_signal(shared_prolab: Prolab, sent: signal.Signals) -> None:
    settings = ("train.max_iters=400", "train.save_every=1", f"train.seed={sent.value}")
    arguments = ("run", "experiment.yaml", *(word for setting in settings for word in ("--set", setting)))
    workspaces = shared_prolab.folder / "store" / "workspaces"
    of_others = set(workspaces.glob("*/training_state.pth"))
    run = shared_prolab.start(*arguments)
    deadline = time.monotonic() + 300
    while not set(workspaces.glob("*/training_state.pth")) - of_others:
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline, "no training state was written"
        time.sleep(0.05)
    run.send_signal(sent)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == (-signal.SIGKILL if sent is signal.SIGKILL else 130), errors

    listed = shared_prolab("artifacts", "list")
    assert "checkpoint" not in listed.stdout
    assert shared_prolab("artifacts", "verify").returncode == 0
    # The state is of the first steps of 400: a run that went on has it in its log.
    going_on = shared_prolab.start(*arguments)
    lines: list[str] = []
    assert going_on.stderr is not None
    for line in going_on.stderr:
        lines.append(line)
        if "going on from iteration" in line:
            break
    going_on.kill()
    going_on.communicate()
    assert any("going on from iteration" in line for line in lines), "".join(lines)
