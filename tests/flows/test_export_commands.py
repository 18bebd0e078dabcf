"""A checkpoint in the store becomes an ONNX file that runs without the project."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
import torch
from processes import Prolab, rows

from prolab_model.bank import Bank, write_bank
from tests.prolab_model.networks import small_config
from tests.prolab_model.variety import BACKBONES, small_network

CLASSES = ("meadow", "wall", "pond", "sky")


@pytest.fixture
def stored(real_prolab: Prolab) -> Prolab:
    """A folder whose store holds a small network as the checkpoint `mine`."""
    segmentor = small_network("deeplab", "sigmoid")
    bank = Bank(
        segmentor.label_space.centres, segmentor.label_space.class_matrix, dict.fromkeys(CLASSES, ("something",))
    )
    write_bank(real_prolab.folder / "bank.pth", bank)
    weights = {name: value for name, value in segmentor.state_dict().items() if not name.startswith("label_space.")}
    torch.save({"meta": {}, "state_dict": weights}, real_prolab.folder / "weights.pth")
    model = small_config() | BACKBONES["deeplab"] | {"label_space": {"temperature": 0.1}}
    (real_prolab.folder / "model.py").write_text(f"model = {model}\n")
    done = real_prolab(
        "import", "checkpoint", "weights.pth", "--bank", "bank.pth", "--model", "model.py", "--tag", "mine"
    )
    assert done.returncode == 0, done.stderr
    return real_prolab


@pytest.mark.slow
def test_checkpoint_is_exported(stored: Prolab) -> None:
    done = stored("export", "mine", "mine.onnx")
    assert done.returncode == 0, done.stderr
    shown = {name: row[1] for name, row in rows(done.stdout).items()}
    assert shown["file"] == "mine.onnx"
    assert float(shown["difference of scores"].split()[0]) < 1e-4
    assert done.stdout.splitlines()[-1] == (
        'use it: onnxruntime.InferenceSession("mine.onnx").run(["labels"], {"images": images})'
    )
    session = onnxruntime.InferenceSession(stored.folder / "mine.onnx")
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(CLASSES)
    (labels,) = session.run(["labels"], {"images": np.full((1, 3, 45, 70), 128, dtype=np.float32)})
    assert labels.shape == (1, 45, 70)
    refused = stored("export", "mine", "part.onnx", "--dataset", "x")
    assert (refused.returncode, (stored.folder / "part.onnx").exists()) == (2, False)
    assert "--dataset x: the checkpoint is of a single data set" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mine", "mine.pth"), "mine.pth: expected a file name that ends in .onnx"),
        (("mine", "absent/mine.onnx"), "there is no folder absent"),
        (("dataset:mine", "mine.onnx"), "dataset:mine: expected a checkpoint, got a dataset"),
        (("mine", "mine.onnx", "--store", "absent"), "absent: there is no store here"),
        (("mine", "mine.onnx"), "no artifact of kind 'checkpoint'"),
    ],
)
def test_wrong_input_gives_a_message_and_exit_code_2(
    real_prolab: Prolab, arguments: tuple[str, ...], message: str
) -> None:
    (real_prolab.folder / "store").mkdir()
    done = real_prolab("export", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (real_prolab.folder / "mine.onnx").exists()
