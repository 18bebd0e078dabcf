"""`prolab export`: makes a file of a checkpoint that runs without this project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.artifact_commands import StoreOption, open_store, resolve
from flows.checkpoints import CheckpointArgument, KnownDatasetOption, load_checkpoint
from flows.output import format_bytes, print_table
from tasks.errors import InputError

_TRIAL = (1, 3, 224, 320)  # the size of the noise on which both networks are compared


def export(
    checkpoint: CheckpointArgument,
    file: Annotated[Path, typer.Argument(help="The file to write, FILE.onnx.", metavar="FILE", show_default=False)],
    dataset: KnownDatasetOption = None,
    store: StoreOption = Path("store"),
) -> None:
    """Write a checkpoint as an ONNX file, from photos of any size to labels, and compare it with PyTorch."""
    if file.suffix != ".onnx":
        raise InputError(f"{file}: expected a file name that ends in .onnx")
    if not file.parent.is_dir():
        raise InputError(f"{file}: there is no folder {file.parent}")
    artifact = resolve(open_store(store), "checkpoint", checkpoint)

    import torch

    from prolab_model.export import export_onnx, measure_difference

    segmentor, card = load_checkpoint(artifact, dataset)
    try:
        export_onnx(segmentor, file, card.classes, card.properties)
        noise = 255 * torch.rand(_TRIAL, generator=torch.Generator().manual_seed(0))
        difference = measure_difference(segmentor, file, noise)
    except ModuleNotFoundError as error:
        raise InputError(f"{error}: the extra onnx is needed, pip install -e '.[onnx]'") from error
    classes, properties = len(card.classes), len(card.properties)
    rows = {
        "checkpoint": artifact.reference,
        "file": str(file),
        "size": format_bytes(file.stat().st_size),
        "input images": "(batch, 3, height, width) float32, RGB from 0 to 255, any size",
        "output labels": "(batch, height, width) int64",
        "output scores": f"(batch, {classes}, height / 4, width / 4) float32; sides in multiples of 32",
        "output properties": f"(batch, {properties}, height / 4, width / 4) float32, likewise",
        "metadata": "classes, properties: names as JSON lists",
        "difference of scores": f"{difference.scores:.1e} at most, from PyTorch on noise",
        "difference of properties": f"{difference.properties:.1e} at most",
        "difference of labels": f"{difference.labels:.3%} of the pixels",
    }
    print_table(("what", "value"), list(rows.items()))
    print(f'use it: onnxruntime.InferenceSession("{file}").run(["labels"], {{"images": images}})')
