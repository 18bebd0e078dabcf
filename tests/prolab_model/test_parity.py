"""The network against outputs of the original implementation, in float64."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F

from tests.conftest import REPOSITORY
from tests.prolab_model.parity import ParityError, build_network, compare, compare_file

Recorded = dict[str, npt.NDArray[Any]]

FOLDER = Path(os.environ.get("PROLAB_SHARED", REPOSITORY.parent / "shared")) / "data" / "parity"
IGNORED = 255


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.npz")), ids=lambda path: path.stem)
def test_network_is_the_originals(path: Path) -> None:
    differences = compare_file(path)
    names = [difference.quantity for difference in differences]
    assert {"feat/0", "feat/3", "whole", "slide", "total_loss", "loss/decode.loss_cos_simi"} <= set(names)
    assert "gradients" in names[-1]
    assert [difference for difference in differences if not difference.within] == []


@pytest.fixture
def recorded(shared_data: Path) -> Recorded:
    with np.load(shared_data / "parity" / "vit_unnorm.npz") as file:
        return {name: file[name] for name in file.files}


def with_net(recorded: Recorded, **settings: Any) -> Recorded:
    return {**recorded, "net": np.array(json.dumps({**json.loads(str(recorded["net"])), **settings}))}


def above(recorded: Recorded) -> list[str]:
    return [difference.quantity for difference in compare(recorded) if not difference.within]


def test_ignored_pixels_left_out(recorded: Recorded) -> None:
    """With `ignore_index` 255 the mean is over labelled pixels; each other one counted with a loss of 1 before."""
    labelled = float((recorded["gt"] != IGNORED).mean())
    assert 0 < labelled < 1
    for name in ("loss/decode.loss_cos_simi", "loss/aux.loss_cos_simi"):
        recorded[name] = (recorded[name] - (1 - labelled)) / labelled
    recorded["total_loss"] = recorded["loss/decode.loss_cos_simi"] + recorded["loss/aux.loss_cos_simi"]
    for name in recorded:
        if name.startswith("grad/"):
            recorded[name] = recorded[name] / labelled
    assert above(with_net(recorded, ignore_index=IGNORED)) == []
    assert "loss/decode.loss_cos_simi" in above(recorded)


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("ignored_count", [False, True])
def test_losses_and_gradients_in_the_originals_order(recorded: Recorded, normalise: bool, ignored_count: bool) -> None:
    """Upsampled embeddings, target maps, cosines (spec 2.4), written out, for the settings that no file is of."""
    recorded = with_net(recorded, normalize=normalise, ignore_index=None if ignored_count else IGNORED)
    network = build_network(json.loads(str(recorded["net"])), recorded).train()
    image, labels = torch.from_numpy(recorded["img"]).double(), torch.from_numpy(recorded["gt"])[:, 0].long()
    targets = F.pad(network.label_space.class_matrix, (0, 0, 0, 1))[labels.clamp_max(7)].permute(0, 3, 1, 2)
    counted = torch.ones_like(labels) if ignored_count else labels != IGNORED
    features = network.extract_feat(image)
    losses = []
    for name, head in (("decode", network.decode_head), ("aux", network.auxiliary_head)):
        embeddings = F.interpolate(head.conv_seg(head(features)), size=labels.shape[-2:], mode="bilinear")
        if normalise:
            embeddings = F.normalize(embeddings, dim=1)
        similarities = torch.einsum("bdhw,kd->bkhw", embeddings, network.label_space.centres)
        distances = 1 - F.cosine_similarity((similarities / 0.04).sigmoid(), targets, dim=1)
        losses.append((distances * counted).sum() / counted.sum())
        recorded[f"loss/{name}.loss_cos_simi"] = losses[-1].detach().numpy()
    total = losses[0] + losses[1]
    total.backward()
    recorded["total_loss"] = total.detach().numpy()
    for name, parameter in network.named_parameters():
        recorded[f"grad/{name}"] = torch.stack([parameter.grad.norm(), parameter.grad.sum()]).numpy()
    other_settings = {"whole", "slide", "loss/decode.acc_seg", "loss/aux.acc_seg"}
    assert set(above(recorded)) - (other_settings if normalise else set()) == set()


@pytest.mark.parametrize("name", ["feat/2", "whole", "slide", "total_loss", "loss/aux.acc_seg", "loss/decode.acc_seg"])
def test_changed_number_is_found(recorded: Recorded, name: str) -> None:
    changed = np.array(recorded[name], np.float64)
    changed.flat[changed.size // 2] += 3e-6 * np.abs(changed).max()
    recorded[name] = changed
    assert above(recorded) == [name]


def test_changed_gradient_is_found(recorded: Recorded) -> None:
    recorded["grad/backbone.up.weight"] = recorded["grad/backbone.up.weight"] * (1 + 3e-6)
    assert above(recorded) == ["311 gradients, worst backbone.up.weight"]


@pytest.mark.parametrize(
    "setting", [{"temperature": 0.05}, {"normalize": True}, {"test_stride": 32}], ids=lambda setting: str(setting)
)
def test_other_setting_is_found(recorded: Recorded, setting: dict[str, Any]) -> None:
    assert "slide" in above(with_net(recorded, **setting))


def test_not_a_number_is_found(recorded: Recorded) -> None:
    recorded["total_loss"] = np.array(np.nan)
    assert above(recorded) == ["total_loss"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: with_net(file, window_attn=True), "net: window_attn: the network supports False only, got True"),
        (lambda file: with_net(file, colour="red"), "net: colour: 'red' is a setting that this program does not know"),
        (lambda file: with_net(file, ignore_index=7), "net: ignore_index: expected null or 255, got 7"),
        (lambda file: with_net(file, backbone="Swin"), "net: backbone: expected ViTAdapter or BEiTAdapter, got 'Swin'"),
        (lambda file: with_net(file, num_classes=8), "net: num_classes is 8, but the bank has 7"),
        (lambda file: with_net(file, dropout_ratio=0.1), "net: dropout_ratio is 0.1: losses and gradients"),
        (lambda file: with_net(file, uper_channels=16), r"of another shape: decode_head\.conv_seg\.weight"),
        (lambda file: {**file, "loss/other": file["total_loss"]}, "does not know: loss/other"),
        (lambda file: {**file, "grad/other": file["total_loss"]}, "does not know: grad/other"),
        (
            lambda file: without(file, "grad/backbone.up.bias"),
            r"without a gradient .*: grad/backbone\.up\.bias",
        ),
        (lambda file: without(file, "ori"), "the file has no ori"),
        (lambda file: {**file, "whole": file["slide"]}, "whole: the file has shape"),
    ],
)
def test_file_that_cannot_be_compared(recorded: Recorded, change: Callable[[Recorded], Recorded], message: str) -> None:
    with pytest.raises(ParityError, match=message):
        compare(change(recorded))


def without(recorded: Recorded, name: str) -> Recorded:
    return {other: value for other, value in recorded.items() if other != name}


def test_command(recorded: Recorded, shared_data: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "changed.npz", **{**recorded, "total_loss": recorded["total_loss"] * 1.001})
    np.savez(tmp_path / "unknown.npz", **{**recorded, "more": recorded["total_loss"]})

    def run(*files: Path) -> tuple[int, str]:
        command = [sys.executable, str(REPOSITORY / "tests" / "parity.py"), *map(str, files)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.stderr == ""
        return done.returncode, done.stdout

    path = shared_data / "parity" / "vit_unnorm.npz"
    code, shown = run(path)
    assert code == 0
    assert "  feat/0\n" in shown
    assert "311 gradients, worst backbone." in shown
    assert "\x1b" not in shown

    code, shown = run(tmp_path / "changed.npz", tmp_path / "unknown.npz", tmp_path / "absent.npz", path)
    assert code == 1
    assert "  1.0e-03  above 1e-06  total_loss\n" in shown
    assert "unknown.npz\n  error: quantities that this program does not know: more\n" in shown
    assert "absent.npz\n  error: " in shown
