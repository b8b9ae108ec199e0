"""Records that are boxes of a picture: where the box is, how sure its detector was, and of which picture it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from camtrap_tf.errors import PictureError
from camtrap_tf.images.decoding import orientation_of
from camtrap_tf.prediction.results import NO_DETECTION, PicturePrediction, RecordPrediction

NUMBERS = ("x", "y", "width", "height")
UNITS = ("relative", "px")
TURNED = 5
"""From this EXIF orientation on, width and height of the stored picture change places."""


@dataclass(frozen=True, slots=True)
class PredictedBox:
    """A box of a detector that was classified, or a picture in which there is none.

    Attributes:
        file: path of the whole picture as the file of the boxes gives it.
        path: where it lies.
        picture: what the model says about the box, or why there is nothing.
        numbers: x, y, width and height in [0, 1]; None where there is no box that could be used.
        category: name of the detection category.
        confidence: of the detector, in [0, 1]; 1 where it gives none.
        lost_box: whether the record is a box that could not be used, rather than a picture.
        detector: name of the detector, where it is known.
    """

    file: str
    path: str
    picture: PicturePrediction
    numbers: Sequence[float] | None = None
    category: str = ""
    confidence: float = 1.0
    lost_box: bool = False
    detector: str = ""


def box_of(record: RecordPrediction) -> PredictedBox | None:
    """Returns the box that a record of `predict --detections` is of; None where it is of whole pictures."""
    meta = record.meta_data
    file, detector = meta.get("file"), meta.get("detector", "")
    if not file:
        return None
    if not record.pictures:
        empty = record.problem is not None and record.problem[0] == NO_DETECTION
        return PredictedBox(file, file, PicturePrediction(file, problem=record.problem), detector=detector) if empty else None
    picture = record.pictures[0]
    if meta.get("unit") in UNITS and len(record.pictures) == 1:
        numbers = _numbers(meta, picture.path)
        confidence = _float(meta.get("detection_conf")) if meta.get("detection_conf") else 1.0
        lost = numbers is None
        sure = 1.0 if confidence is None else min(1.0, max(0.0, confidence))
        return PredictedBox(file, picture.path, picture, numbers, meta.get("category", ""), sure, lost, detector)
    if picture.problem and picture.path == file and set(meta) <= {"file", "box", "detector"}:
        return PredictedBox(file, picture.path, picture, lost_box="box" in meta, detector=detector)
    return None


def _numbers(meta: Mapping[str, str], path: str) -> tuple[float, ...] | None:
    """Returns a box in [0, 1] of its picture; None where it is none, or the size of the picture is not known."""
    values = [_float(meta.get(name)) for name in NUMBERS]
    if None in values:
        return None
    x, y, width, height = (value for value in values if value is not None)
    if meta.get("unit") == "px":
        size = _size(path)
        if size is None:
            return None
        x, y, width, height = x / size[0], y / size[1], width / size[0], height / size[1]
    left, top = min(1.0, max(0.0, x)), min(1.0, max(0.0, y))
    return left, top, min(1.0, x + width) - left, min(1.0, y + height) - top


def _float(text: str | None) -> float | None:
    """Returns a text as a number; None where it is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


@lru_cache(maxsize=4)
def _size(path: str) -> tuple[int, int] | None:
    """Returns width and height in px of a picture held upright; None where it cannot be read."""
    try:
        data = Path(path).read_bytes()
        with Image.open(path) as picture:
            width, height = picture.size
        return (height, width) if orientation_of(data) >= TURNED else (width, height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, PictureError):
        return None
