from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from artifacts import Artifact, FileHashes, Store
from prolab_model.checkpoint import load_model
from prolab_model.openmmlab import BACKBONES
from tasks.errors import InputError
from tasks.train import TrainParams, read_recipe
from tasks.train.network import class_weights, turn_on_checkpointing
from tests.conftest import REPOSITORY
from tests.training import SETTINGS, Killed, KillingProgress, run


def test_the_network_learns_and_is_whole(checkpoint: Artifact, label_space: Artifact) -> None:
    curve = checkpoint.table("metrics.parquet").to_pandas()
    assert set(curve["name"]) == {"loss", "accuracy", "learning_rate"}
    assert curve["iteration"].max() == 12
    losses = curve[curve["name"] == "loss"]["value"].to_list()
    assert losses[-1] < losses[0]
    segmentor, card = load_model(checkpoint.path)
    assert card.properties == ("green", "flat", "red", "wet")
    assert card.classes[0] == "meadow"
    centres = np.stack(label_space.table("properties.parquet").to_pandas()["centre"].to_list())
    expected = centres / np.linalg.norm(centres, axis=1, keepdims=True)
    np.testing.assert_allclose(segmentor.label_space.centres.numpy(), expected, rtol=1e-5)
    assert segmentor.label_space.class_matrix.tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("killed_after", [5, 8, 11])
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, small_model: Path, checkpoint: Artifact, dataset: Artifact, label_space: Artifact, killed_after: int
) -> None:
    """States are saved after 4, 8 and 12 steps; what follows is the same to the last bit."""
    store = Store(tmp_path / "store")
    with pytest.raises(Killed):
        run(store, small_model, dataset, label_space, KillingProgress(killed_after))
    assert store.list() == []
    going_on = KillingProgress(12)  # the steps of the state at once, then the rest
    resumed = run(store, small_model, dataset, label_space, going_on)
    assert going_on.steps == 0
    assert resumed.digest == checkpoint.digest


@pytest.mark.parametrize("bytes_left", [0, 1000])
def test_a_state_that_cannot_be_read_is_named_and_training_begins_anew(
    tmp_path: Path,
    small_model: Path,
    checkpoint: Artifact,
    dataset: Artifact,
    label_space: Artifact,
    caplog: pytest.LogCaptureFixture,
    bytes_left: int,
) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(Killed):
        run(store, small_model, dataset, label_space, KillingProgress(5))
    (state,) = store.root.glob("workspaces/*/training_state.pth")
    state.write_bytes(state.read_bytes()[:bytes_left])

    begun_anew = run(store, small_model, dataset, label_space)

    assert f"the state of an earlier run cannot be read: {state}" in caplog.text
    assert begun_anew.digest == checkpoint.digest


def test_state_of_another_version_is_not_gone_on_from(
    tmp_path: Path, small_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(Killed):
        run(store, small_model, dataset, label_space, KillingProgress(5))
    steps = KillingProgress(100)
    run(store, small_model, dataset, label_space, steps, seed=1, max_iters=4)
    assert steps.steps == 96


def test_pretrained_weights_are_part_of_the_key_by_content(
    store: Store, small_model: Path, checkpoint: Artifact, dataset: Artifact, label_space: Artifact, tmp_path: Path
) -> None:
    from prolab_model.vit_adapter import ViTAdapter

    torch.manual_seed(5)
    backbone = ViTAdapter(48, 4, 3, [(0, 0), (1, 1), (2, 2), (3, 3)], 3, conv_inplanes=8)
    weights = {name: value for name, value in backbone.state_dict().items() if name.startswith(("blocks", "patch_"))}
    save_file(weights | {"pos_embed": torch.zeros(1, 197, 48)}, tmp_path / "vit.safetensors")
    first = run(store, small_model, dataset, label_space, pretrained=tmp_path / "vit.safetensors", max_iters=2)
    (tmp_path / "vit.safetensors").rename(tmp_path / "moved.safetensors")
    moved = run(store, small_model, dataset, label_space, pretrained=tmp_path / "moved.safetensors", max_iters=2)
    assert moved.version == first.version
    assert first.digest != checkpoint.digest


def inheriting(folder: Path, base: Path | str, lines: str) -> Path:
    """A config that inherits another one."""
    path = folder / "child.py"
    base = base if isinstance(base, Path) else REPOSITORY / "configs" / "models" / base
    path.write_text(f"_base_ = {str(base)!r}\n{lines}\n", encoding="utf-8")
    return path


def test_one_hot_labels_have_the_classes_as_properties(
    tmp_path: Path, store: Store, small_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    model = inheriting(tmp_path, small_model, "model = dict(label_space=dict(_delete_=True, kind='one_hot'))")
    segmentor, card = load_model(run(store, model, dataset, label_space, max_iters=2).path)
    assert card.properties == card.classes
    assert segmentor.decode_head.conv_seg.out_channels == len(card.classes)
    probabilities = segmentor.label_space.properties(segmentor.similarities(torch.zeros(1, 3, 64, 64)))
    assert probabilities.sum(dim=1).allclose(torch.ones(1))


OTHER_BACKBONES = {
    "segformer_b1.py": """model = dict(
    backbone=dict(embed_dims=8, num_layers=[1, 1, 1, 1]),
    decode_head=dict(in_channels=[8, 16, 40, 64], channels=16),
)""",
    "deeplabv3plus_r50.py": """model = dict(
    backbone=dict(base_channels=8),
    decode_head=dict(in_channels=256, channels=16, c1_in_channels=32, c1_channels=8),
    auxiliary_head=dict(in_channels=128, channels=16),
)""",
}


@pytest.mark.parametrize("base", OTHER_BACKBONES)
def test_other_backbones_and_heads_learn(
    tmp_path: Path, store: Store, dataset: Artifact, label_space: Artifact, base: str
) -> None:
    model = inheriting(tmp_path, base, OTHER_BACKBONES[base])
    recipe = {**read_recipe(model), **SETTINGS, "base_size": (96, 64), "max_iters": 40}
    trained = run(store, model, dataset, label_space, **recipe)
    curve = trained.table("metrics.parquet").to_pandas()
    losses = curve[curve["name"] == "loss"]["value"].to_list()
    assert losses[-1] < losses[0]
    _, card = load_model(trained.path)
    assert card.base_size == (96, 64)


def test_checkpointed_activations_change_no_weight(
    tmp_path: Path, small_model: Path, checkpoint: Artifact, dataset: Artifact, label_space: Artifact
) -> None:
    elsewhere = Store(tmp_path / "store")
    assert run(elsewhere, small_model, dataset, label_space, checkpoint_activations=True).digest == checkpoint.digest


def test_what_cannot_checkpoint_activations_says_so() -> None:
    with pytest.raises(InputError, match=r"train\.checkpoint_activations: Conv2d cannot do this"):
        turn_on_checkpointing(torch.nn.Conv2d(1, 1, 1))


def test_gradients_are_clipped_unless_told_otherwise(
    store: Store, small_model: Path, checkpoint: Artifact, dataset: Artifact, label_space: Artifact
) -> None:
    """Adam's first step does not depend on the gradient's size, so that more than one is taken."""
    free = run(store, small_model, dataset, label_space, clip_norm=None)
    assert free.digest != checkpoint.digest


def test_schedule_falls_with_the_power(
    store: Store, small_model: Path, dataset: Artifact, label_space: Artifact
) -> None:
    trained = run(store, small_model, dataset, label_space, poly_power=2.0, max_iters=4, warmup=0.0, log_every=1)
    curve = trained.table("metrics.parquet").to_pandas()
    rates = curve[curve["name"] == "learning_rate"]["value"].to_list()
    assert rates == pytest.approx([2e-3 * (1 - step / 4) ** 2 for step in range(4)])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pretrained": Path("absent.pth")}, "train.pretrained: no file absent.pth"),
        ({"pretrained": "absent.pth"}, "train.pretrained: no file absent.pth"),
        pytest.param(
            {"pretrained": "timm:vit_small_patch16_224"},
            r"train.pretrained: timm:vit_small_patch16_224 needs timm: pip install 'prolab-pipeline\[timm\]'",
            marks=pytest.mark.skipif(find_spec("timm") is not None, reason="timm is installed"),
        ),
        ({"model": Path("absent.py")}, "train.model: .*absent.py"),
        ({"device": "cuda"}, "train.device: cuda was asked for"),
        ({"contrast": 0.0}, r"train.contrast: 0: the decorrelated class scores of .*small.py are learnt by"),
    ],
    ids=["pretrained", "pretrained text", "timm", "model", "device", "contrast"],
)
def test_bad_input_is_named(
    store: Store, small_model: Path, dataset: Artifact, label_space: Artifact, changed: dict[str, Any], message: str
) -> None:
    if "device" in changed and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match=message):
        run(store, **{"model": small_model, "dataset": dataset, "label_space": label_space, "seed": 7, **changed})


def test_weights_that_do_not_fit_are_named(
    store: Store, small_model: Path, dataset: Artifact, label_space: Artifact, tmp_path: Path
) -> None:
    save_file({"layer1.weight": torch.zeros(3)}, tmp_path / "resnet.safetensors")
    with pytest.raises(InputError, match=r"resnet\.safetensors: pretrained weights fit another network"):
        run(store, small_model, dataset, label_space, pretrained=tmp_path / "resnet.safetensors")


@pytest.mark.parametrize("base", OTHER_BACKBONES)
def test_other_backbones_start_from_pretrained_weights(
    store: Store, dataset: Artifact, label_space: Artifact, tmp_path: Path, base: str
) -> None:
    """A learning rate of next to nothing keeps the parameters that were loaded."""
    model = inheriting(tmp_path, base, OTHER_BACKBONES[base])
    torch.manual_seed(5)
    source = BACKBONES.build(TrainParams.model_validate({"model": model, **SETTINGS}).network()["backbone"])
    torch.save({"state_dict": source.state_dict()}, tmp_path / "weights.pth")
    recipe = {**SETTINGS, "max_iters": 1, "learning_rate": 1e-9, "pretrained": tmp_path / "weights.pth"}
    segmentor, _ = load_model(run(store, model, dataset, label_space, **recipe).path)
    for (name, expected), got in zip(source.named_parameters(), segmentor.backbone.parameters(), strict=True):
        torch.testing.assert_close(got, expected, msg=name)


def test_a_name_of_timms_is_no_path_and_part_of_the_key(
    monkeypatch: pytest.MonkeyPatch, small_model: Path, tmp_path: Path
) -> None:
    params = TrainParams.model_validate({"model": small_model, **SETTINGS, "pretrained": "timm:vit_small_patch16_224"})
    assert params.pretrained == params.pretrained_name() == "timm:vit_small_patch16_224"
    (tmp_path / "timm-1.2.3.dist-info").mkdir()
    (tmp_path / "timm-1.2.3.dist-info" / "METADATA").write_text("Name: timm\nVersion: 1.2.3\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    pretrained = params.external(FileHashes(tmp_path / "hashes"))["pretrained"]
    assert pretrained == {"timm": "vit_small_patch16_224", "version": "1.2.3"}


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"crop_size": 100}, "crop_size"),
        ({"scale_range": (2.0, 1.0)}, "scale_range"),
        ({"lr": 1}, "lr"),
        ({"pretrained": {"timm": "vit"}}, r"pretrained\n.*expected a path, or timm: and a name"),
    ],
    ids=["crop", "scale", "unknown", "pretrained"],
)
def test_wrong_parameters_are_refused_by_name(small_model: Path, changed: dict[str, Any], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        TrainParams.model_validate({"model": small_model, **SETTINGS, **changed})


def test_class_weights_balance_by_the_power() -> None:
    pixels = np.array([900, 100, 0])
    np.testing.assert_allclose(class_weights(pixels, power=0.0), [1, 1, 0])
    balanced = class_weights(pixels, power=1.0)
    np.testing.assert_allclose(balanced * pixels / pixels.sum(), [0.5, 0.5, 0])
    assert (class_weights(pixels, power=0.5) * pixels).sum() / pixels.sum() == pytest.approx(1.0)
