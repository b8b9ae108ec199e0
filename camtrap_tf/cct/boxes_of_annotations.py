"""The box of an annotation, whichever of the two forms it has, judged against the size of its image."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image

from camtrap_tf.detections.boxes import BoxError, checked_box, is_number
from camtrap_tf.files import join_inside
from camtrap_tf.records import BoundingBox
from camtrap_tf.sources.cct_document import Entry, number_of, text_of

PIXELS, RELATIVE = "bbox", "bbox_relative"
READERS = 16
"""Threads that look at the heads of pictures; they mostly wait for the disk."""


def given_box(annotation: Entry, *, relative: bool = False) -> tuple[str, list[Any]] | None:
    """Returns the key and the numbers of an annotation's box; None where it has none, or one with a null in it.

    With `relative`, numbers of `bbox` are in [0, 1] like those of `bbox_relative`, whose key they get.
    """
    for key in (PIXELS, RELATIVE):
        values = annotation.get(key)
        if values is None or values == [] or (isinstance(values, list) and any(value is None for value in values)):
            continue
        return RELATIVE if relative else key, values
    return None


def named_by_unit(annotation: Entry) -> Entry:
    """Returns an annotation whose numbers in `bbox` are in [0, 1] with these in `bbox_relative`, at the same place."""
    found = given_box(annotation)
    if found is None or found[0] == RELATIVE:
        return annotation
    return {RELATIVE if key == PIXELS else key: value for key, value in annotation.items() if key != RELATIVE}


def size_of(image: Entry) -> tuple[float, float] | None:
    """Returns width and height of an image in px, or None where one is absent or no size."""
    width, height = number_of(image.get("width")), number_of(image.get("height"))
    return (width, height) if width and height and width > 0 and height > 0 else None


def box_of(annotation: Entry, image: Entry, *, relative: bool = False) -> BoundingBox | None:
    """Returns the box of an annotation in [0, 1], cut at the edges of its picture; None where it has none.

    Args:
        annotation: the entry.
        image: the entry of its image.
        relative: numbers of `bbox` are in [0, 1], too.

    Raises:
        BoxError: its box cannot be used.
    """
    found = given_box(annotation, relative=relative)
    if found is None:
        return None
    key, values = found
    return checked_box(values, size_px=size_of(image), relative=key == RELATIVE)


def limits_of(annotation: Entry, image: Entry) -> tuple[str, list[Any], tuple[float, float] | None] | None:
    """Returns key, numbers and the width and height they are measured by (1, 1 where relative); None without a box.

    Raises:
        BoxError: the box is not four numbers.
    """
    found = given_box(annotation)
    if found is None:
        return None
    key, values = found
    if not isinstance(values, list) or len(values) != 4 or not all(map(is_number, values)):
        raise BoxError("box_not_numbers", values)
    return key, values, (1.0, 1.0) if key == RELATIVE else size_of(image)


def overhang(values: list[Any], size: tuple[float, float]) -> float:
    """Returns by how much a box sticks out of its picture at most, in its own unit; 0 or less: it does not."""
    x, y, width, height = values
    return float(max(-x, -y, x + width - size[0], y + height - size[1]))


def clipped(values: list[Any], size: tuple[float, float]) -> list[Any]:
    """Returns a box cut at the edges of its picture; whole numbers stay whole."""
    x, y, width, height = values
    right, bottom = (min(end, _like(whole)) for end, whole in zip((x + width, y + height), size, strict=True))
    left, top = max(x, 0), max(y, 0)
    return [left, top, right - left, bottom - top]


def _like(number: float) -> int | float:
    return int(number) if number.is_integer() else number


def picture_size(path: Path) -> tuple[int, int] | None:
    """Returns width and height of a picture file in px as stored, read from its head; None where that cannot be read."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def with_sizes(images: Iterable[Entry], image_root: Path) -> list[Entry]:
    """Returns images with width and height, read from the files of those that have none; as they are where that fails."""

    def with_size(image: Entry) -> Entry:
        """Returns an image with its size, where that can be found."""
        name = text_of(image.get("file_name"))
        if name is None or size_of(image) is not None:
            return image
        size = size_inside(image_root, name)
        return image if size is None else {**image, "width": size[0], "height": size[1]}

    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(with_size, images))


def size_inside(image_root: Path, name: str) -> tuple[int, int] | None:
    """Returns width and height of a picture below a folder in px; None where it cannot be read, or leads out."""
    try:
        return picture_size(join_inside(image_root, name))
    except ValueError:
        return None
