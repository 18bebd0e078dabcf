"""Predicts photos, one after the other."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from prolab_model.checkpoint import ModelCard
from prolab_model.data import read_photo
from prolab_model.image_files import ImageFileError
from prolab_model.predictor import Predictor
from prolab_model.whole_files import write_whole
from tasks.errors import InputError
from tasks.evaluate.properties import strengths
from tasks.pictures import Colour, add_colour_key, as_jpeg, key_inches, lay_over, lay_strength_over
from tasks.text import shorten

LABELS, PICTURE = ".labels.png", ".picture.jpg"

_WIDEST_PANEL = 960  # pixels
_PANEL = 4.8  # inches
_LONGEST_TITLE = 60


@dataclass(frozen=True)
class Predicted:
    """What was found in a photo.

    Attributes:
        shares: of the photo's pixels by class id, the largest first; classes that do not occur are left out.
        seconds: from the file to the files.
    """

    shares: dict[int, float]
    seconds: float


def predict_photo(
    predictor: Predictor, card: ModelCard, photo: Path, output: Path, property_id: int | None = None
) -> Predicted:
    """Write the class ids of a photo (`OUTPUT.labels.png`, 8 bits, with the classes' colours) and a picture of them.

    Args:
        predictor: the network.
        card: what its classes and properties are called.
        photo: its file.
        output: path without suffix; its folder is made.
        property_id: the picture shows how strong this property is, too.

    Raises:
        InputError: the file is no photo.
    """
    started = time.perf_counter()
    try:
        image = np.asarray(cv2.cvtColor(read_photo(photo), cv2.COLOR_BGR2RGB), np.uint8)
    except ImageFileError as error:
        raise InputError(str(error)) from error
    strength = None
    if property_id is None:
        labels = predictor.labels(image)
    else:
        prediction = predictor.predict(image)
        labels = prediction.labels
        strength = np.asarray(strengths(prediction.properties.cpu().numpy())[property_id], np.float32)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_whole(output.with_name(output.name + LABELS), _indexed_png(labels, card.palette))
    title = None if property_id is None else card.properties[property_id]
    write_whole(output.with_name(output.name + PICTURE), _draw(image, labels, card, strength, title))
    return Predicted(_shares(labels), time.perf_counter() - started)


def _shares(labels: npt.NDArray[np.uint8]) -> dict[int, float]:
    counts = np.bincount(labels.ravel())
    order = np.argsort(-counts, kind="stable")
    return {int(class_id): float(counts[class_id] / labels.size) for class_id in order if counts[class_id]}


def _indexed_png(labels: npt.NDArray[np.uint8], palette: Sequence[Colour]) -> bytes:
    image = Image.fromarray(labels)
    image.putpalette([value for colour in palette for value in colour])
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _draw(
    image: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    card: ModelCard,
    strength: npt.NDArray[np.float32] | None,
    title: str | None,
) -> bytes:
    """Photo, classes, and the property if one is asked for, with a key to the colours of the classes that occur."""
    height, width = image.shape[:2]
    factor = min(1.0, _WIDEST_PANEL / width)
    size = (round(width * factor), max(1, round(height * factor)))
    photo = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    small_labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    panels = {"photo": photo, "classes": lay_over(photo, small_labels, card.palette)}
    if strength is not None and title is not None:
        resized = cv2.resize(strength, size, interpolation=cv2.INTER_LINEAR)
        panels[shorten(title, _LONGEST_TITLE)] = lay_strength_over(photo, np.asarray(resized, np.float32))
    found = sorted(_shares(labels))
    classes, palette = [card.classes[number] for number in found], [card.palette[number] for number in found]
    inches = (len(panels) * _PANEL, _PANEL * size[1] / size[0] + 0.4 + key_inches(classes))
    figure = Figure(figsize=inches, dpi=size[0] / _PANEL, layout="constrained")
    for axes, (name, panel) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(panel)
        axes.set_title(name, fontsize=10, parse_math=False)
        axes.set_axis_off()
    add_colour_key(figure, classes, palette)
    return as_jpeg(figure)
