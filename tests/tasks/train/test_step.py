"""Steps in parts, with averaged weights, in other precisions; and what stops them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from artifacts import Artifact, Store
from prolab_model.checkpoint import WEIGHTS
from tasks import index
from tasks.errors import InputError
from tasks.execution import run_stage
from tasks.progress import SilentProgress
from tasks.train import report
from tests.squares import draw_squares
from tests.training import Killed, KillingProgress, curve_of, run


def weights_of(checkpoint: Artifact) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.file(WEIGHTS))


def test_parts_of_a_step_add_up_to_the_step(
    tmp_path: Path, plain_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    """Without batch norm, which sees a part at a time, the first step's loss and what follows are the same."""
    model = tmp_path / "without_norm.py"
    model.write_text(
        f"""_base_ = {str(plain_model)!r}
norm = dict(type="GN", num_groups=4)
model = dict(decode_head=dict(norm_cfg=norm), auxiliary_head=dict(norm_cfg=norm))
"""
    )
    settings = {"batch_size": 4, "max_iters": 2, "log_every": 1, "class_weight_power": 1.0}
    losses = [
        curve_of(run(Store(tmp_path / str(parts)), model, dataset, label_space, accumulate=parts, **settings), "loss")
        for parts in (1, 2)
    ]
    # The adapter's stem has batch norm, so that only nearly the same is asked of the loss.
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-2)


def test_parts_are_no_part_of_the_key(
    store: Store, small_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    whole = run(store, small_model, dataset, label_space, batch_size=4, max_iters=1)
    assert (
        run(store, small_model, dataset, label_space, batch_size=4, max_iters=1, accumulate=2).version == whole.version
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 4, "accumulate": 3}, r"4 crops cannot be shared by 1 processes in 3 parts .* multiple of 3"),
        ({"batch_size": 4, "processes": 8}, r"4 crops cannot be shared by 8 processes"),
        ({"batch_size": 4, "accumulate": 4}, r"train\.accumulate: 4 parts of 4 crops: expected two crops in each part"),
    ],
)
def test_crops_that_cannot_be_shared_are_refused(
    store: Store,
    small_model: Path,
    dataset: Artifact,
    label_space: Artifact,
    settings: dict[str, int],
    message: str,
) -> None:
    with pytest.raises(InputError, match=message):
        run(store, small_model, dataset, label_space, seed=5, **settings)


def test_the_checkpoint_holds_the_average_of_the_weights(
    tmp_path: Path, small_model: Path, checkpoint: Artifact, dataset: Artifact, label_space: Artifact
) -> None:
    store = Store(tmp_path / "store")
    averaged = run(store, small_model, dataset, label_space, ema=0.9)
    assert curve_of(averaged, "loss") == curve_of(checkpoint, "loss"), "the average changes nothing of the training"
    last = weights_of(checkpoint)["decode_head.conv_seg.weight"]
    mean = weights_of(averaged)["decode_head.conv_seg.weight"]
    assert not torch.equal(mean, last)
    assert mean.norm() < last.norm(), "it lags behind weights that grow from nearly zero"
    state = torch.load(averaged.file("training_state.pth"), weights_only=True)
    assert torch.equal(state["average"]["module.decode_head.conv_seg.weight"], mean)


@pytest.mark.parametrize("settings", [{"ema": 0.9}, {"validate_every": 3, "keep": "best"}, {"precision": "float16"}])
def test_a_killed_run_goes_on_with_all_that_it_had(
    tmp_path: Path, small_model: Path, dataset: Artifact, label_space: Artifact, settings: dict[str, Any]
) -> None:
    whole = run(Store(tmp_path / "whole"), small_model, dataset, label_space, **settings)
    store = Store(tmp_path / "store")
    with pytest.raises(Killed):
        run(store, small_model, dataset, label_space, KillingProgress(9), **settings)
    going_on = KillingProgress(12)
    resumed = run(store, small_model, dataset, label_space, going_on, **settings)
    assert going_on.steps == 0
    assert resumed.digest == whole.digest
    assert resumed.table("metrics.parquet").equals(whole.table("metrics.parquet"))


def test_float16_scales_the_loss(tmp_path: Path, small_model: Path, dataset: Artifact, label_space: Artifact) -> None:
    half = run(Store(tmp_path / "store"), small_model, dataset, label_space, precision="float16")
    state = torch.load(half.file("training_state.pth"), weights_only=True)
    assert state["scaler"]["scale"] > 1
    losses = curve_of(half, "loss")
    assert losses[-1] < losses[0]


def test_a_loss_that_is_no_number_stops_and_names_the_photos(
    tmp_path: Path, small_model: Path, dataset: Artifact, label_space: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learning rate beyond all reason: nothing of what follows is saved."""
    store = Store(tmp_path / "store")
    with pytest.raises(
        InputError, match=r"the loss is (nan|inf) at iteration \d+, whose crops are of .*\.png, .*\.png"
    ):
        run(store, small_model, dataset, label_space, learning_rate=1e30, clip_norm=None, warmup=0.0)
    assert store.list() == []
    for state in (tmp_path / "store").rglob("training_state.pth"):
        weights = torch.load(state, weights_only=True)["state_dict"]
        assert all(value.isfinite().all() for value in weights.values() if value.is_floating_point())


def test_the_best_weights_are_kept(
    tmp_path: Path, small_model: Path, dataset: Artifact, label_space: Artifact, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"validate_every": 2, "learning_rate": 1e-2, "max_iters": 10}
    last = run(Store(tmp_path / "last"), small_model, dataset, label_space, **settings)
    mious = curve_of(last, "miou")
    assert len(mious) == 5
    assert all(0 <= miou <= 1 for miou in mious)
    caplog.set_level(logging.INFO)
    best = run(Store(tmp_path / "best"), small_model, dataset, label_space, keep="best", **settings)
    assert curve_of(best, "miou") == mious
    iteration = 2 * (int(np.argmax(mious)) + 1)
    assert f"keeping the weights of iteration {iteration}: mIoU {100 * max(mious):.2f}" in caplog.text
    assert (weights_of(best).keys() == weights_of(last).keys()) and (best.digest == last.digest) == (iteration == 10)


def test_the_miou_on_the_way_is_that_of_the_evaluation(
    tmp_path: Path, small_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    from tasks import evaluate

    store = Store(tmp_path / "store")
    trained = run(store, small_model, dataset, label_space, validate_every=12)
    inputs = {"checkpoint": trained, "dataset": dataset}
    evaluation = run_stage(evaluate.STAGE, evaluate.EvaluateParams(), inputs, store, SilentProgress()).artifact
    assert round(100 * curve_of(trained, "miou")[-1], 2) == evaluation.manifest.summary["miou"]


def test_best_needs_measurements(small_model: Path) -> None:
    from tasks.train import TrainParams

    with pytest.raises(ValueError, match="keep: best needs validate_every"):
        TrainParams(model=small_model, max_iters=1, keep="best")


def test_tensorboard_shows_figures_and_examples(
    tmp_path: Path, small_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trained = run(
        Store(tmp_path / "store"), small_model, dataset, label_space, tensorboard=True, validate_every=6, log_every=3
    )
    events = accumulator.EventAccumulator(str(trained.path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [
        (3 * (number + 1), pytest.approx(value)) for number, value in enumerate(curve_of(trained, "loss"))
    ]
    assert [event.step for event in events.Scalars("train/miou")] == [6, 12]
    (image,) = [event for event in events.Images("photo, labels, prediction/0.0") if event.step == 12]
    picture = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (96, 3 * 128, 3)


def test_curve_and_examples_are_shown_while_it_lasts_and_at_the_end(
    tmp_path: Path, small_model: Path, dataset: Artifact, label_space: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_SECONDS_BETWEEN_REPORTS", 0.0)
    store = Store(tmp_path / "store")
    settings = {"validate_every": 6, "log_every": 3}
    with pytest.raises(Killed):
        run(store, small_model, dataset, label_space, KillingProgress(8), **settings)
    (so_far,) = store.root.glob("workspaces/*/report.md")
    texts = {"Training": so_far.read_text()}
    done = run(store, small_model, dataset, label_space, **settings)
    texts["Trained"] = done.file("report.md").read_text()

    for title, text in texts.items():
        assert text.startswith(f"# {title} {small_model.stem}\n")
        assert "](learning_curve.png)" in text
        assert "](examples.jpg)" in text
        assert "| mIoU on photos of val | 0." in text
    curve, examples = (cv2.imread(str(done.file(name))) for name in ("learning_curve.png", "examples.jpg"))
    assert curve.std() > 5
    height, width = examples.shape[:2]
    assert (width, height % (300 * 96 // 128)) == (900, 0), "photo, labels and prediction of 96 x 128 pixels a line"


def test_a_data_set_without_a_split_to_measure_on_is_named(
    tmp_path: Path, small_model: Path, label_space: Artifact
) -> None:
    config = draw_squares(tmp_path / "squares")
    text = config.read_text()
    store = Store(tmp_path / "store")
    config.write_text(text + "data = {name: folders for name, folders in data.items()}\n")
    params = index.IndexParams(config=config, root=tmp_path / "squares")
    dataset = run_stage(index.STAGE, params, {}, store, SilentProgress()).artifact
    trained = run(store, small_model, dataset, label_space, validate_every=100, validate_photos=1, max_iters=1)
    assert len(curve_of(trained, "miou")) == 1


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_file_that_has_broken_since_it_was_indexed_is_named(
    tmp_path: Path, small_model: Path, label_space: Artifact, workers: int, kind: str
) -> None:
    root, store = tmp_path / "squares", Store(tmp_path / "store")
    config = draw_squares(root)
    params = index.IndexParams(config=config, root=root)
    dataset = run_stage(index.STAGE, params, {}, store, SilentProgress()).artifact
    for path in (root / kind / "train").iterdir():
        path.write_bytes(b"no longer a picture")
    with pytest.raises(
        InputError, match=rf"{kind}/train/\d\.png: not .*; it could be read when the data set was indexed"
    ):
        run(store, small_model, dataset, label_space, workers=workers)
