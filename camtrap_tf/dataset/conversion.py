"""What worker processes do: records in, framed examples out. A module of its own, so that workers import little."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from camtrap_tf.dataset.framing import frame
from camtrap_tf.dataset.schema import encode_example
from camtrap_tf.errors import PictureError
from camtrap_tf.files import join_inside
from camtrap_tf.images.crop import CropGeometry, cut_box, in_pixels, size_of, whole_picture
from camtrap_tf.images.stored_form import StoredForm, encode_stored, open_picture, read_stored
from camtrap_tf.labels import LabelMapping
from camtrap_tf.records import CaptureEvent, Reject


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records of a shard, to be converted in one go.

    Attributes:
        events: the records, in the order of the shard.
        root: folder that picture paths are relative to.
        form: how pictures are stored.
        mapping: numbers of the classes that occur in `events`.
        label_types: label types to store.
        crop: how boxes are cut out, where each record is one; None: whole pictures are stored.
    """

    events: tuple[CaptureEvent, ...]
    root: Path | None
    form: StoredForm
    mapping: LabelMapping
    label_types: tuple[str, ...]
    crop: CropGeometry | None = None


@dataclass(frozen=True, slots=True)
class Converted:
    """A record as it goes into a shard.

    Attributes:
        framed: TFRecord bytes; None where the record has no usable picture.
        images: pictures in it.
        pictures: pictures that the record named.
        classes: class of the first observation by label type; None where it is missing.
        rejects: pictures that could not be used, and the record if none could.
    """

    framed: bytes | None
    images: int
    pictures: int
    classes: tuple[str | None, ...]
    rejects: tuple[Reject, ...]


def chunk_of(
    events: Sequence[CaptureEvent],
    *,
    root: Path | None,
    form: StoredForm,
    mapping: LabelMapping,
    label_types: tuple[str, ...],
    crop: CropGeometry | None = None,
) -> Chunk:
    """Returns a chunk with no more of the mapping than its records need: a mapping may be large, and travels with each."""
    needed: dict[str, dict[str, int]] = {label: {} for label in mapping.classes}
    for event in events:
        for observation in event.observations:
            for label, value in observation.labels.items():
                if value in mapping.classes.get(label, ()):
                    needed[label][value] = mapping.classes[label][value]
    return Chunk(tuple(events), root, form, LabelMapping(needed), label_types, crop)


def convert_chunk(chunk: Chunk) -> list[Converted]:
    """Returns the records of a chunk, converted, in their order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of a picture's meta data is of no use here
        read = _reader(chunk)
        return [_convert(event, chunk, read) for event in chunk.events]


def _reader(chunk: Chunk) -> Callable[[CaptureEvent, str], bytes]:
    """Returns a function that gives a picture of a record as it is stored, or the crop of the record's box."""
    crop = chunk.crop
    if crop is None:
        return lambda event, path: read_picture(chunk.root, path, chunk.form)

    @lru_cache(maxsize=1)
    def whole(path: str) -> np.ndarray | PictureError:
        """Returns a picture at full size, or what is wrong with it; boxes of one picture come one after the other."""
        try:
            with open_picture(picture_path(chunk.root, path)) as file:
                data = file.read()
            return whole_picture(data, truncated=chunk.form.truncated, max_pixels=chunk.form.max_pixels)
        except PictureError as err:
            return err

    def cut_out(event: CaptureEvent, path: str) -> bytes:
        """Returns the crop of a record in stored form.

        Raises:
            PictureError: the picture cannot be used.
        """
        picture, box = whole(path), event.observations[0].box
        if isinstance(picture, PictureError):
            raise picture
        assert box is not None  # records are those of boxes
        place = in_pixels((box.x, box.y, box.width, box.height), size_of(picture))
        return encode_stored(Image.fromarray(cut_box(picture, place, crop)), chunk.form)

    return cut_out


def _convert(event: CaptureEvent, chunk: Chunk, read: Callable[[CaptureEvent, str], bytes]) -> Converted:
    pictures: list[tuple[int, bytes]] = []
    rejects: list[Reject] = []
    for index, media in enumerate(event.media):
        try:
            pictures.append((index, read(event, media.path)))
        except PictureError as err:
            rejects.append(Reject(event.event_id, media.path, "picture", err.reason, err.detail))
    framed = None
    if pictures:
        framed = frame(encode_example(event, pictures, chunk.mapping, label_types=chunk.label_types))
    else:
        detail = f"none of its {len(event.media)} pictures can be used"
        rejects.append(Reject(event.event_id, event.event_id, "record", "no_picture", detail))
    classes = tuple(event.label(label) for label in chunk.label_types)
    return Converted(framed, len(pictures), len(event.media), classes, tuple(rejects))


def read_picture(root: Path | None, stored: str, form: StoredForm) -> bytes:
    """Returns a picture in stored form, by the path that the inventory gives.

    Raises:
        PictureError: as `read_stored`, and `outside_root` where the path leads out of `root`.
    """
    return read_stored(picture_path(root, stored), form)


def picture_path(root: Path | None, stored: str) -> Path:
    """Returns where a picture of the inventory lies.

    Raises:
        PictureError: `missing_file`, or `outside_root` where the path leads out of `root`.
    """
    try:
        return join_inside(root, stored)
    except ValueError as err:
        if "\0" in stored:
            raise PictureError("missing_file", "the path holds a NUL character") from err
        raise PictureError("outside_root", "the path leads out of the image root") from err
