"""Many texts through sentence encoders: each text once, like lengths together, several batches at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import numpy as np
import torch

from tasks.embed.encoder import Encoder, Vectors
from tasks.progress import Progress


def encode_texts(texts: Sequence[str], encoders: Sequence[Encoder], batch_size: int, progress: Progress) -> Vectors:
    """Vectors of `texts` (M, D) in their order; equal texts are encoded once and have equal vectors.

    Args:
        texts: what to encode.
        encoders: each is given one batch at a time, and all work at the same time.
        batch_size: texts in a batch; texts of like length share one, so that little is padded.
        progress: where it is reported how many texts are done.
    """
    unique = list(dict.fromkeys(texts))
    lengths = encoders[0].count_tokens(unique)
    by_length = sorted(range(len(unique)), key=lengths.__getitem__)
    batches = [by_length[start : start + batch_size] for start in range(0, len(unique), batch_size)]
    free: SimpleQueue[Encoder] = SimpleQueue()
    for encoder in encoders:
        free.put(encoder)

    def encode(rows: Sequence[int]) -> Vectors:
        encoder = free.get()
        try:
            return encoder.encode([unique[row] for row in rows])
        finally:
            free.put(encoder)

    vectors: list[Vectors] = []
    with (
        progress.bar("embed", total=len(unique), unit="texts") as bar,
        _threads_of_a_batch(len(encoders)),
        ThreadPoolExecutor(len(encoders)) as pool,
    ):
        for batch in pool.map(encode, batches):
            vectors.append(batch)
            bar.advance(len(batch))
    of_unique = np.concatenate(vectors)[np.argsort(by_length)]
    row_of = {text: row for row, text in enumerate(unique)}
    return of_unique[[row_of[text] for text in texts]]


@contextmanager
def _threads_of_a_batch(batches: int) -> Iterator[None]:
    """Share PyTorch's threads between the batches that run at a time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // batches))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
