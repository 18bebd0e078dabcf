"""Time and peak memory of labelling a photo with ViT-Adapter-B, in the original's order and in ours, in one process.

Sliding windows of 512 x 512 at a stride of 341, 256 properties, 150 classes. The original's order is
mmsegmentation's: window by window, scores of every class at the photo's size, softmax, argmax.
Run: python -m tests.benchmarks.inference
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from prolab_model.predictor import Predictor
from prolab_model.segmentor import PropertySegmentor
from tests.benchmarks.original_order import build, forget_peak, original_attention, original_embeddings, peak

PHOTOS = ((512, 683), (1024, 2048))

Labels = npt.NDArray[np.uint8]


def in_the_originals_order(predictor: Predictor, photo: Labels) -> Labels:
    """By mmsegmentation's own sliding window over class scores."""
    segmentor = predictor.segmentor
    images = predictor.network_input(photo)
    meta = {"img_shape": (*images.shape[-2:], 3), "ori_shape": photo.shape, "flip": False}
    scores = partial(_originals_scores, segmentor)
    with torch.inference_mode(), original_attention(), mock.patch.object(segmentor, "encode_decode", scores):
        probabilities = segmentor.inference(images, [meta], rescale=True)
    return probabilities[0].argmax(dim=0).to(torch.uint8).numpy()


def _originals_scores(segmentor: PropertySegmentor, images: Tensor, img_metas: object) -> Tensor:
    """Embeddings, similarities, properties, cosines one after the other, then the window's size (spec 2.4)."""
    space = segmentor.label_space
    embeddings = original_embeddings(segmentor.decode_head, segmentor.extract_feat(images))
    properties = (torch.einsum("bdhw,kd->bkhw", embeddings, space.centres) / space.temperature).sigmoid()
    scores = torch.einsum("bkhw,nk->bnhw", F.normalize(properties, dim=1), F.normalize(space.class_matrix, dim=1))
    return F.interpolate(scores, size=images.shape[-2:], mode="bilinear", align_corners=False)


def measure(label: Callable[[Labels], Labels], photo: Labels, repeats: int) -> tuple[float, float, Labels]:
    """Seconds of the fastest of some runs, peak in GiB, and the labels."""
    label(photo[:64, :64])
    forget_peak()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        labels = label(photo)
        seconds.append(time.perf_counter() - start)
    return min(seconds), peak(), labels


def main() -> None:
    """Print a line for each size of photo and way of labelling; ratios are to the original's order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    repeats = parser.parse_args().repeats
    segmentor = build()
    float32, bfloat16 = Predictor(segmentor), Predictor(segmentor, autocast=torch.bfloat16)
    ways = {
        "original's order": partial(in_the_originals_order, float32),
        "ours": float32.labels,
        "ours, bfloat16": bfloat16.labels,
    }
    print(f"{torch.get_num_threads()} threads\n{'photo':11} {'':17} seconds  ratio  peak GiB  ratio  same labels")
    for height, width in PHOTOS:
        photo = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        results = {name: measure(label, photo, repeats) for name, label in ways.items()}
        first_seconds, first_peak, first_labels = results["original's order"]
        for name, (seconds, memory, labels) in results.items():
            same = (labels == first_labels).mean()
            print(
                f"{height:4} x {width:4} {name:17} {seconds:7.2f} {first_seconds / seconds:6.2f} "
                f"{memory:9.2f} {first_peak / memory:6.2f}  {same:.4%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
