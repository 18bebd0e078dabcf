"""Times the stage index against a loop over the files, on photos of ADE20K's size made from CamVid's, in one process.

Run: python -m tests.benchmarks.index
It writes about 0.5 GB of photos and label maps into a temporary folder first, no two of them alike, and reads them from
the disk and from memory; then nothing changes, a few photos do, and the classes are named otherwise.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from blake3 import blake3
from PIL import Image

from artifacts import Store
from tasks.execution import run_stage
from tasks.index import STAGE, IndexParams
from tasks.progress import SilentProgress
from tests.conftest import REPOSITORY

_SIZE = 683, 512
_CONFIG = """
classes = [f"class {number}" for number in range(150)]
reduce_zero_label = True
data = dict(
    train=dict(img_dir="images/training", ann_dir="annotations/training"),
    val=dict(img_dir="images/validation", ann_dir="annotations/validation"),
)
"""


def write_pair(number: int, camvid: Path, root: Path) -> None:
    """A part of a photo of CamVid, enlarged, with noise; its classes become twelve of ADE20K's."""
    generator = np.random.default_rng(number)
    photos = sorted((camvid / "images/train").iterdir())
    photo = photos[generator.integers(len(photos))]
    image = cv2.imread(str(photo))
    label = cv2.imread(str(camvid / "labels/train" / f"{photo.stem}.png"), cv2.IMREAD_UNCHANGED)
    height, width = (int(side * generator.uniform(0.7, 1.0)) for side in label.shape)
    top, left = (generator.integers(side - part + 1) for side, part in zip(label.shape, (height, width), strict=True))
    part = np.s_[top : top + height, left : left + width]
    image = cv2.resize(image[part], _SIZE, interpolation=cv2.INTER_CUBIC)
    label = cv2.resize(label[part], _SIZE, interpolation=cv2.INTER_NEAREST)
    noise = np.empty(image.shape, np.int8)
    cv2.setRNGSeed(number)
    cv2.randn(noise, 0, 5)
    image = cv2.add(image, noise, dtype=cv2.CV_8U)
    label = generator.integers(0, 151, 12).astype(np.uint8)[label]
    split = "training" if number % 10 else "validation"
    cv2.imwrite(str(root / "images" / split / f"{number:08}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    cv2.imwrite(str(root / "annotations" / split / f"{number:08}.png"), label)


def write_data_set(root: Path, pairs: int, camvid: Path) -> None:
    """Photos and label maps in ADE20K's layout."""
    for kind in ("images", "annotations"):
        for split in ("training", "validation"):
            (root / kind / split).mkdir(parents=True)
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(partial(write_pair, camvid=camvid, root=root), range(pairs), chunksize=50))


def loop(root: Path) -> int:
    """One pair after the other: decode, hash, count; returns the pixels."""
    pixels = 0
    for image in sorted((root / "images").glob("*/*.jpg")):
        label = root / "annotations" / image.parent.name / f"{image.stem}.png"
        image_bytes, label_bytes = image.read_bytes(), label.read_bytes()
        blake3(image_bytes).hexdigest()
        blake3(label_bytes).hexdigest()
        photo = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR)
        values = np.asarray(Image.open(io.BytesIO(label_bytes)))
        if photo.shape[:2] != values.shape:
            raise SystemExit(f"{image} and {label} differ in size")
        pixels += int(np.bincount(values.ravel(), minlength=256).sum())
    return pixels


def forget(root: Path) -> None:
    """Have the system drop the files from its memory, so that they come from the disk."""
    os.sync()
    for path in root.rglob("*.*"):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds that `work` takes by the clock and of the processors."""
    start, start_of_processors = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - start_of_processors


def main() -> None:
    """Print the times of both sides, their ratio, and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("PROLAB_SHARED", REPOSITORY.parent / "shared"))
    parser.add_argument("--camvid", type=Path, default=shared / "data/camvid")
    parser.add_argument("--pairs", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, config = Path(folder) / "data", Path(folder) / "data_set.py"
        config.write_text(_CONFIG, encoding="utf-8")
        write_data_set(root, arguments.pairs, arguments.camvid)
        params = IndexParams(config=config, root=root)

        def index(store: str) -> object:
            return run_stage(STAGE, params, {}, Store(Path(folder) / store), SilentProgress())

        size = sum(path.stat().st_size for path in root.rglob("*.*"))
        forget(root)
        from_disk = timed(lambda: index("first"))
        forget(root)
        loop_from_disk = timed(lambda: loop(root))
        from_memory = timed(lambda: index("second"))
        loop_from_memory = timed(lambda: loop(root))
        unchanged = timed(lambda: index("second"))
        for number in range(10):
            write_pair(number, arguments.camvid, root)
        changed = timed(lambda: index("second"))
        config.write_text(_CONFIG.replace("class ", "kind "), encoding="utf-8")
        renamed = timed(lambda: index("second"))
    print(f"{2 * arguments.pairs} files, {size / 1e9:.2f} GB, {len(os.sched_getaffinity(0))} cores")
    print("seconds by the clock (and of the processors):")
    for place, plain, stage in (
        ("disk", loop_from_disk, from_disk),
        ("memory", loop_from_memory, from_memory),
    ):
        print(f"from {place}: loop {_show(plain)}, stage {_show(stage)}, ratio {plain[0] / stage[0]:.2f}")
    print(f"nothing changed {_show(unchanged)}, ten photos changed {_show(changed)}, classes renamed {_show(renamed)}")
    print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def _show(seconds: tuple[float, float]) -> str:
    return f"{seconds[0]:.1f} ({seconds[1]:.1f})"


if __name__ == "__main__":
    main()
