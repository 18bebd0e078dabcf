"""`prolab evaluate`: measuring a checkpoint, and holding one against another."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from processes import Prolab, rows

from artifacts import Store
from flows.evaluations import find_evaluations
from tasks import evaluate, index
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.progress import SilentProgress
from tests.checkpoints import make_checkpoint
from tests.squares import draw_squares


@pytest.fixture(scope="module")
def prolab(tmp_path_factory: pytest.TempPathFactory) -> Prolab:
    """The command in a folder whose store holds a data set and three checkpoints, `ours` and `baseline` measured.

    `ours` has property labels, `baseline` one-hot labels; `new` was not measured.
    """
    folder = tmp_path_factory.mktemp("evaluate")
    store = Store(folder / "store")
    params = index.IndexParams(config=draw_squares(folder / "squares"), root=folder / "squares")
    dataset = run_stage(index.STAGE, params, {}, store, SilentProgress()).artifact
    store.tag(dataset, "squares")
    for name, one_hot in (("ours", False), ("baseline", True)):
        checkpoint = make_checkpoint(store, one_hot=one_hot)
        store.tag(checkpoint, f"{name}-checkpoint")
        inputs = {"checkpoint": checkpoint, "dataset": dataset}
        params_of_stage = evaluate.EvaluateParams()
        store.tag(run_stage(evaluate.STAGE, params_of_stage, inputs, store, SilentProgress()).artifact, name)
    store.tag(make_checkpoint(store, seed=7), "new")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PROLAB_"))}
    return Prolab(folder, environment, (str(Path(sys.executable).with_name("prolab")),))


@pytest.fixture
def store(prolab: Prolab) -> Store:
    return Store(prolab.folder / "store")


def test_two_evaluations_are_compared(prolab: Prolab, store: Store) -> None:
    done = prolab("evaluate", "--compare", "ours", "baseline", "--output", "comparison.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    shown = rows(done.stdout)
    summaries = [store.resolve(f"evaluation:{name}").manifest.summary for name in ("ours", "baseline")]
    assert shown["mIoU %"][1:3] == [f"{summary['miou']:.2f}" for summary in summaries]
    assert " to " in shown["pond"][4]
    lines = done.stdout.splitlines()
    assert "distinguishable" in lines[-2]
    assert lines[-1] == "report: comparison.html"
    assert (prolab.folder / "comparison.html").is_file()
    assert (prolab.folder / "comparison.png").is_file()


@pytest.mark.slow
def test_a_checkpoint_is_measured_and_compared_as_one_that_was(prolab: Prolab, store: Store) -> None:
    done = prolab("evaluate", "new", "--dataset", "squares", "--set", "evaluate.split=train", "--tag", "measured")
    assert done.returncode == 0, done.stderr
    assert store.resolve("evaluation:measured").reference == rows(done.stdout)["evaluation"][1]
    refused = prolab("evaluate", "--compare", "ours-checkpoint", "new")
    assert refused.returncode == 2
    assert "no two evaluations are of the same data set and split" in refused.stderr
    compared = prolab("evaluate", "--compare", "ours-checkpoint", "new", "--dataset", "squares")
    assert compared.returncode == 0, compared.stderr
    assert rows(compared.stdout)["evaluation"][1] == store.resolve("evaluation:ours").reference


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a CHECKPOINT to measure, or --compare A B"),
        (("ours-checkpoint", "--compare", "ours", "baseline"), "expected a CHECKPOINT to measure, or --compare A B"),
        (("ours-checkpoint",), "--dataset: missing"),
        (("ours-checkpoint", "--dataset", "squares", "--output", "x.html"), "expected --compare A B with them"),
        (("--compare", "ours", "baseline", "--set", "evaluate.flip=true"), "--set: expected --dataset with it"),
        (("--compare", "ours", "absent"), "the store has neither an evaluation nor a checkpoint"),
        (("--compare", "ours", "baseline", "--output", "x.pdf"), "expected a file name that ends in .html"),
        (
            ("--compare", "ours", "baseline", "--dataset", "squares", "--set", "evaluate.flp=true"),
            "did you mean 'flip'?",
        ),
    ],
)
def test_wrong_input_gives_a_message_and_exit_code_2(prolab: Prolab, arguments: tuple[str, ...], message: str) -> None:
    done = prolab("evaluate", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (prolab.folder / "x.html").exists()


def test_checkpoints_are_found_by_their_evaluations(store: Store) -> None:
    a, b = (store.resolve(f"evaluation:{name}") for name in ("ours", "baseline"))
    assert find_evaluations(store, ("ours-checkpoint", "checkpoint:baseline-checkpoint"), None) == (a, b)
    assert find_evaluations(store, ("ours", "baseline-checkpoint"), None) == (a, b)


def test_a_checkpoint_that_was_not_measured_is_named(store: Store) -> None:
    checkpoint = make_checkpoint(store, seed=9)
    with pytest.raises(InputError, match=f"{checkpoint.reference} has no evaluation in the store"):
        find_evaluations(store, ("ours", checkpoint.version), None)


def test_another_kind_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match="dataset:squares: expected an evaluation or a checkpoint, got a dataset"):
        find_evaluations(store, ("ours", "dataset:squares"), None)
