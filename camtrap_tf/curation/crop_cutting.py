"""Cutting the crops of one picture: what worker processes do.

A picture is decoded once for all its boxes, and not at all where every crop of it is there already.
"""

from __future__ import annotations

import contextlib
import errno
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from camtrap_tf.config.names import TruncatedPolicy
from camtrap_tf.curation.crop_plan import BOX, PICTURE, Numbers, WantedCrop, WantedPicture
from camtrap_tf.detections.boxes import BoxError, checked_box
from camtrap_tf.errors import PictureError
from camtrap_tf.files import join_inside, sha256_bytes
from camtrap_tf.images.crop import (
    TURNED,
    CropGeometry,
    cut_box,
    encode_crop,
    in_pixels,
    is_crop_of,
    size_of,
    turned,
    whole_picture,
)
from camtrap_tf.images.decoding import orientation_of
from camtrap_tf.images.stored_form import open_picture
from camtrap_tf.records import Reject

ASPECT_SLACK = 0.02
"""How far the aspect ratio that a file gives for a picture may be off: smaller copies are rounded to whole pixels."""

_BAD_NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ)


@dataclass(frozen=True, slots=True)
class Cutting:
    """How all crops of a run are made.

    Attributes:
        image_root: folder that picture paths are relative to.
        output_dir: folder of the crops.
        geometry: windows.
        quality: of the JPEGs.
        truncated: what becomes of pictures that are cut off.
        max_pixels: larger pictures are rejected.
        settings: digest of what decides about the pixels of crops; goes into their marks.
        check: decode crops that are there.
    """

    image_root: Path
    output_dir: Path
    geometry: CropGeometry
    quality: int
    truncated: TruncatedPolicy
    max_pixels: int
    settings: str
    check: bool = False


@dataclass(frozen=True, slots=True)
class CutPicture:
    """What became of one picture.

    Attributes:
        made: places, among the crops wanted, of those that were written.
        kept: likewise of those that were there already.
        rejects: the picture, or boxes of it.
    """

    made: tuple[int, ...]
    kept: tuple[int, ...]
    rejects: tuple[Reject, ...] = ()


def cut_chunk(cutting: Cutting, pictures: Sequence[WantedPicture]) -> list[CutPicture]:
    """Returns what became of each picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of a picture's meta data is of no use here
        return [cut_picture(cutting, picture) for picture in pictures]


def cut_picture(cutting: Cutting, wanted: WantedPicture) -> CutPicture:
    """Writes the crops of a picture that are not there yet.

    Raises:
        OSError: crops cannot be written, whatever their names.
    """
    marks = [mark(cutting.settings, wanted, one) for one in wanted.crops]
    paths = [join_inside(cutting.output_dir, one.name) for one in wanted.crops]
    kept = [place for place, path in enumerate(paths) if _is_there(path, marks[place], cutting)]
    todo = [place for place in range(len(paths)) if place not in kept]
    if not todo:
        return CutPicture((), tuple(kept))
    try:
        with open_picture(join_inside(cutting.image_root, wanted.file)) as file:
            data = file.read()
        picture = whole_picture(data, truncated=cutting.truncated, max_pixels=cutting.max_pixels)
        place_of = placing(wanted, data, picture)
    except PictureError as err:
        lost = [Reject(wanted.picture_id, wanted.crops[place].box_id, BOX, "no_picture", err.reason) for place in todo]
        rejected = Reject(wanted.picture_id, wanted.file, PICTURE, err.reason, err.detail)
        return CutPicture((), tuple(kept), (rejected, *lost))
    made, rejects = [], []
    for place in todo:
        one = wanted.crops[place]
        try:
            _write(paths[place], _crop(picture, place_of(one), cutting, marks[place]))
        except PictureError as err:
            rejects.append(Reject(wanted.picture_id, one.box_id, BOX, err.reason, err.detail))
        else:
            made.append(place)
    return CutPicture(tuple(made), tuple(kept), tuple(rejects))


def mark(settings: str, picture: WantedPicture, crop: WantedCrop) -> str:
    """Returns the text that a crop carries: equal for equal settings and an equal box of an equal picture's name."""
    facts = "\0".join((settings, picture.file, repr(picture.size_px), repr(crop.numbers), repr(crop.relative)))
    return f"camtrap crop {sha256_bytes(facts.encode('utf-8', 'surrogatepass'))[:32]}"


def _is_there(path: Path, wanted: str, cutting: Cutting) -> bool:
    if not is_crop_of(path, wanted):
        return False
    if cutting.check:
        try:
            whole_picture(path.read_bytes(), truncated="reject", max_pixels=cutting.max_pixels)
        except (PictureError, OSError):
            return False
    return True


def placing(wanted: WantedPicture, data: bytes, picture: np.ndarray) -> Callable[[WantedCrop], Numbers]:
    """Returns a function that gives a box in px of the upright picture; boxes in px are those of a size the file names.

    Raises:
        PictureError: `size_differs`: that size is of another shape than the picture.
    """
    upright = size_of(picture)
    width, height = upright
    size = wanted.size_px or (float(width), float(height))
    turns = 1
    if any(not one.relative for one in wanted.crops) and not _same_shape(size, upright):
        turns = orientation_of(data)
        if turns not in TURNED or not _same_shape(size, (height, width)):
            detail = f"{width} x {height} px, where boxes are measured by {size[0]:g} x {size[1]:g} px"
            raise PictureError("size_differs", detail)

    def place(one: WantedCrop) -> Numbers:
        """Returns a box in px of the upright picture.

        Raises:
            PictureError: it is none in this picture.
        """
        if one.relative:
            return in_pixels(one.numbers, upright)
        if wanted.size_px is None:  # else the plan has judged the box
            try:
                checked_box(list(one.numbers), size_px=size, relative=False)
            except BoxError as err:
                raise PictureError(err.reason, str(err)) from err
        if turns == 1 and size == upright:
            return one.numbers
        x, y, wide, high = one.numbers
        relative = (x / size[0], y / size[1], wide / size[0], high / size[1])
        return in_pixels(turned(relative, turns), upright)

    return place


def _same_shape(said: tuple[float, float], size: tuple[int, int]) -> bool:
    return abs(said[0] * size[1] / (said[1] * size[0]) - 1) <= ASPECT_SLACK


def _crop(picture: np.ndarray, box: Numbers, cutting: Cutting, text: str) -> bytes:
    return encode_crop(cut_box(picture, box, cutting.geometry), quality=cutting.quality, mark=text)


def _write(path: Path, data: bytes) -> None:
    """Writes a crop, whole or not at all.

    It is not forced to disk: a crop that a power cut tears is found by its mark and its end, and made again.

    Raises:
        PictureError: `bad_name`: no file can have that name.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            unfinished.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError as err:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        if err.errno not in _BAD_NAMES:
            raise
        raise PictureError("bad_name", f"{path.name[:60]}: {err.strerror}") from err
