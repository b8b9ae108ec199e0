"""The stored form: how pictures are kept in shards. Files of any kind in, upright RGB JPEGs of bounded size out.

Data set building, prediction and the service all bring pictures to this form by the same function, so that the model is
asked about what it was taught.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image

from camtrap_tf.config.names import TruncatedPolicy
from camtrap_tf.errors import PictureError
from camtrap_tf.images.decoding import SHRINK_FILTER, decode_picture

if TYPE_CHECKING:
    # Worker processes start faster without the settings models.
    from camtrap_tf.config.dataset import DatasetConfig

SUBSAMPLING = "420"
"""Colour is kept at half resolution, as cameras do."""


@dataclass(frozen=True, slots=True)
class StoredForm:
    """How pictures are kept in shards, and brought to before prediction.

    Attributes:
        side_smallest_px: the smaller side is shrunk to this at most; None: no such limit.
        side_max_px: the larger side is shrunk to this at most; None: no such limit.
        quality: JPEG quality, 1 to 100.
        truncated: what becomes of pictures whose file is cut off.
        max_pixels: pictures with more pixels are rejected before they are decoded.
    """

    side_smallest_px: int | None = 500
    side_max_px: int | None = None
    quality: int = 90
    truncated: TruncatedPolicy = "reject"
    max_pixels: int = 100_000_000

    @classmethod
    def from_config(cls, config: DatasetConfig) -> Self:
        """Returns the form that the settings of a dataset ask for."""
        return cls(
            side_smallest_px=config.side_smallest_px,
            side_max_px=config.image_save_side_max,
            quality=config.image_save_quality,
            truncated=config.truncated,
            max_pixels=config.max_pixels,
        )

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Returns the form from what `as_json` gave; absent keys take the defaults, unknown ones are left out."""
        known = {field: value[field] for field in cls.__slots__ if field in value}
        return cls(**known)

    def as_json(self) -> dict[str, Any]:
        """Returns a plain dictionary, as it is written to manifests and bundles."""
        return asdict(self)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Returns width and height in stored form, in px: both limits kept, the aspect ratio too, never larger.

        Sides are rounded to the nearest pixel, at least one.
        """
        scale = 1.0
        if self.side_smallest_px is not None:
            scale = min(scale, self.side_smallest_px / min(width, height))
        if self.side_max_px is not None:
            scale = min(scale, self.side_max_px / max(width, height))
        if scale == 1.0:
            return width, height
        return max(1, round(width * scale)), max(1, round(height * scale))


def to_stored_form(data: bytes, form: StoredForm) -> bytes:
    """Returns a picture in stored form: JPEG, upright, RGB, first frame, no larger than the form says.

    It is always encoded anew, so that nothing but pixels is kept: no EXIF, no GPS position. Conversion to RGB and the
    filter are told in `images.decoding`.

    Args:
        data: content of a picture file of any format that Pillow reads.
        form: limits and quality.

    Raises:
        PictureError: `empty_file`, `not_a_picture`, `truncated`, `too_many_pixels` or `unreadable`.
    """
    picture = decode_picture(data, wanted=form.size, truncated=form.truncated, max_pixels=form.max_pixels)
    return encode_jpeg(picture, form.quality)


def encode_stored(picture: Image.Image, form: StoredForm) -> bytes:
    """Returns an upright RGB picture in stored form.

    Raises:
        PictureError: `unreadable`: it is larger than a JPEG can be.
    """
    size = form.size(picture.width, picture.height)
    return encode_jpeg(picture if picture.size == size else picture.resize(size, SHRINK_FILTER), form.quality)


def encode_jpeg(picture: Image.Image, quality: int) -> bytes:
    """Returns an RGB picture as JPEG, without any meta data.

    Raises:
        PictureError: `unreadable`: it is larger than a JPEG can be.
    """
    try:
        # Pillow lends its memory, four bytes a pixel, where the picture is in one piece; else it is copied.
        lent: pa.FixedSizeListArray = pa.array(picture)
        pixels = lent.values.to_numpy().reshape(picture.height, picture.width, 4)
    except ValueError:
        pixels = np.asarray(picture)
    return encode_pixels(pixels, quality)


def encode_pixels(pixels: np.ndarray, quality: int) -> bytes:
    """Returns pixels as JPEG, without any meta data.

    Args:
        pixels: `[H, W, 3 or 4]` uint8, RGB; a fourth byte is left out. Views are taken too.
        quality: of the JPEG, 1 to 100.

    Raises:
        PictureError: `unreadable`: there are more of them than a JPEG can hold.
    """
    whole = np.ascontiguousarray(pixels)  # mirrored and turned views are refused
    try:
        jpeg: bytes = simplejpeg.encode_jpeg(whole, quality, "RGBX"[: pixels.shape[2]], SUBSAMPLING, fastdct=False)
    except ValueError as err:
        height, width = pixels.shape[:2]
        raise PictureError("unreadable", f"{width} x {height} px do not fit into a JPEG ({err})") from err
    return jpeg


def read_stored(path: Path, form: StoredForm) -> bytes:
    """Returns a picture file in stored form.

    Raises:
        PictureError: as `to_stored_form`, and `missing_file` or `unreadable` where the file cannot be opened.
    """
    with open_picture(path) as file:
        data = file.read()
    return to_stored_form(data, form)


@contextmanager
def open_picture(path: Path) -> Iterator[BufferedReader]:
    """Opens a picture file for reading.

    Raises:
        PictureError: `missing_file`, or `unreadable` where it cannot be opened or read, or is no file.
    """
    try:
        # A pipe or device under a picture's name would block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PictureError("unreadable", "not a file")
        with path.open("rb") as file:
            yield file
    except (FileNotFoundError, NotADirectoryError) as err:
        raise PictureError("missing_file", "no such file") from err
    except OSError as err:
        raise PictureError("unreadable", err.strerror or type(err).__name__) from err
