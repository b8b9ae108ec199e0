"""Decoding: the bytes of a picture file of any kind in, an upright RGB picture of a wanted size, or all its pixels, out.

JPEGs in colour or grey, which is nearly all that cameras write, are decoded by libjpeg-turbo straight to a reduced size
where that is exact enough; everything else goes through Pillow at full size. Both are then shrunk once by the same filter.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from camtrap_tf.errors import PictureError

SHRINK_FILTER = Image.Resampling.BILINEAR
"""Triangle filter, widened with the shrink factor (antialiased): the filter of camera-trap-classifier, made proper."""

REDUCTIONS = (1, 2, 3, 4)
"""Eighths at which a JPEG may be decoded below full size; libjpeg-turbo is slow at 5/8 to 7/8."""

LEAST_MARGIN = 1.4
"""A reduced decode has to be at least this many times the wanted size, so that the filter does most of the shrinking.

Source: measured on 13 camera-trap pictures of 3 MP against a full decode shrunk in floating point by the same filter.
Mean absolute difference in levels (of 255) by size decoded / size wanted, from 3/8 and 1/2 (in brackets from 1/4):
1.0: 2.4 (2.2) · 1.1: 1.4 (1.7) · 1.3: 1.0 (1.3) · 1.5: 0.9 (1.0) · 2.0: 0.6 (0.8); from full size 0.3. JPEG quality 90
alone then adds 2.3.
"""

BACKGROUND = (255, 255, 255)
"""What shows through transparent pixels: white."""

JPEG_START = b"\xff\xd8"
# Pillow hands these to Ghostscript or to handlers that are not there, or they are no pictures.
_NOT_PICTURES = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Size = tuple[int, int]
Channels = Literal["RGB", "RGBX"]

# The limit on pixels is ours, and judged by us.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_memory = threading.local()
_KEPT_BYTES = 64 * 2**20


def decode_picture(
    data: bytes,
    *,
    wanted: Callable[[int, int], Size],
    truncated: Literal["reject", "recover"],
    max_pixels: int,
) -> Image.Image:
    """Returns a picture upright, in RGB, first frame, in the size wanted.

    Grey is repeated to three channels; CMYK is converted without colour profile (Adobe's inverted kind too); transparent
    pixels show white; 16 bits are scaled to 8 over their whole range, other deep pixels over the range of the picture.

    Args:
        data: content of the file; the format is told from it, never from a name.
        wanted: gives width and height to return for those stored, in px; not larger, and indifferent to their order.
        truncated: whether a picture that is cut off is refused, or what is there of it returned.
        max_pixels: more than that is refused, before anything is decoded.

    Raises:
        PictureError: `empty_file`, `not_a_picture`, `truncated`, `too_many_pixels` or `unreadable`.
    """
    picture = _opened(data, max_pixels)
    size = wanted(picture.width, picture.height)
    if _is_plain_jpeg(data, picture):
        upright = _UPRIGHT.get(_orientation(picture))
        decoded = _decode_jpeg(data, picture.size, size, truncated)
        if decoded is not None:
            return decoded.transpose(upright) if upright is not None else decoded
    return _decode_any(picture, wanted, truncated)


def decode_pixels(data: bytes, *, truncated: Literal["reject", "recover"], max_pixels: int) -> np.ndarray:
    """Returns a picture as `decode_picture` does, at full size, for what needs pixels rather than a picture of Pillow's.

    Three bytes a pixel are a quarter less to write and to read than the four of Pillow, and a part is taken without copying.

    Args:
        data: content of the file.
        truncated: whether a picture that is cut off is refused, or what is there of it returned.
        max_pixels: more than that is refused, before anything is decoded.

    Returns:
        `[H, W, 3]` uint8, upright; not to be written to, and valid until the next decoding in this thread.

    Raises:
        PictureError: as `decode_picture`.
    """
    picture = _opened(data, max_pixels)
    if _is_plain_jpeg(data, picture):
        pixels = _turbo_or_none(data, picture.size, "RGB", truncated)
        if pixels is not None:
            return _upright_pixels(pixels, _orientation(picture))
    return np.asarray(_decode_any(picture, lambda width, height: (width, height), truncated))


def _upright_pixels(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Returns a view of `[H, W, 3]` that is upright; orientations as in EXIF."""
    if orientation in (5, 6, 7, 8):
        # Afterwards these are turned or mirrored like 1, 2, 3 and 4 are.
        pixels = pixels.transpose(1, 0, 2)
    rows = slice(None, None, -1) if orientation in (3, 4, 7, 8) else slice(None)
    columns = slice(None, None, -1) if orientation in (2, 3, 6, 7) else slice(None)
    return pixels[rows, columns]


def _opened(data: bytes, max_pixels: int) -> Image.Image:
    """Reads the header.

    Raises:
        PictureError: `empty_file`, `not_a_picture`, `too_many_pixels` or `unreadable`.
    """
    if not data:
        raise PictureError("empty_file", "the file has no content")
    picture = _open(data, max_pixels)
    if picture.width * picture.height > max_pixels:
        raise PictureError("too_many_pixels", f"{picture.width} x {picture.height} px, allowed are {max_pixels}")
    return picture


def _is_plain_jpeg(data: bytes, picture: Image.Image) -> bool:
    """Tells whether libjpeg-turbo may decode a picture: it knows no CMYK."""
    return data.startswith(JPEG_START) and picture.mode in ("RGB", "L")


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Reads the header with Pillow."""
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        # Pillow's guard against bombs inside containers (icons) stays, at the limit that the user set.
        Image.MAX_IMAGE_PIXELS = max_pixels
    formats = ("JPEG",) if data.startswith(JPEG_START) else _formats()
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError as err:
        raise PictureError("not_a_picture", "the content is no picture of a known format") from err
    except Exception as err:  # Pillow raises errors of many kinds on damaged headers
        raise _picture_error(err) from err


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name not in _NOT_PICTURES)


def orientation_of(data: bytes) -> int:
    """Returns the EXIF orientation that the bytes of a picture name, 1 to 8; 1 where there is none.

    Raises:
        PictureError: `not_a_picture` or `unreadable`.
    """
    return _orientation(_open(data, 1))


def _orientation(picture: Image.Image) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 where it is absent or damaged."""
    try:
        value = picture.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF raises errors of many kinds, and does not harm the pixels
        return 1
    return value if isinstance(value, int) else 1


def _decode_jpeg(data: bytes, full: Size, size: Size, truncated: str) -> Image.Image | None:
    """Decodes a JPEG in colour or grey with libjpeg-turbo and shrinks it; None where Pillow has to try."""
    eighths = reduction(full, size)
    decoded = (math.ceil(full[0] * eighths / 8), math.ceil(full[1] * eighths / 8))
    # Pillow takes four bytes a pixel as they are; three it would copy.
    pixels = _turbo_or_none(data, decoded, "RGBX", truncated)
    if pixels is None:
        return None
    flat = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 4)
    picture = Image.fromarrow(flat, "RGB", decoded)
    if size == decoded:
        return picture.copy()  # its memory is lent
    return _shrink(picture, size, covers=(full[0] * eighths / 8, full[1] * eighths / 8))


def _turbo_or_none(data: bytes, size: Size, channels: Channels, truncated: str) -> np.ndarray | None:
    """Returns what `_decode_turbo` does; None where Pillow has to try.

    Raises:
        PictureError: `truncated`.
    """
    try:
        pixels = _decode_turbo(data, size, channels, strict=True)
    except ValueError as err:
        # Other complaints than these are either harmless (stray bytes) or about features that only Pillow can judge.
        if "premature end" not in str(err).lower():
            return None
        if truncated != "recover":
            raise PictureError("truncated", str(err)) from err
        pixels = _decode_turbo(data, size, channels, strict=False)
    return pixels if pixels.shape[:2] == (size[1], size[0]) else None


def _decode_turbo(data: bytes, size: Size, channels: Channels, *, strict: bool) -> np.ndarray:
    """Returns `[H, W, 3 or 4]` uint8, a fourth byte without meaning; valid until the next call in this thread.

    The memory is used again, because touching fresh memory takes a sixth of the whole time of a picture.
    """
    width, height = size
    needed = len(channels) * width * height
    buffer = getattr(_memory, "buffer", b"")
    if len(buffer) < needed:
        buffer = bytearray(needed)
        if needed <= _KEPT_BYTES:
            _memory.buffer = buffer
    pixels: np.ndarray = simplejpeg.decode_jpeg(
        data, channels, min_width=width, min_height=height, min_factor=1, strict=strict, buffer=buffer
    )
    return pixels


def reduction(full: Size, size: Size) -> int:
    """Returns at how many eighths of its size a JPEG is to be decoded, to be shrunk further afterwards.

    Args:
        full: width and height stored.
        size: width and height wanted.
    """
    factor = min(size[0] / full[0], size[1] / full[1])
    return next((eighths for eighths in REDUCTIONS if eighths / 8 >= factor * LEAST_MARGIN), 8)


def _decode_any(picture: Image.Image, wanted: Callable[[int, int], Size], truncated: str) -> Image.Image:
    """Decodes what Pillow has opened, at full size, and shrinks it."""
    try:
        _load(picture, truncated)
        upright = _to_rgb(picture)
        with contextlib.suppress(Exception):  # damaged EXIF raises errors of many kinds, and does not harm the pixels
            upright = ImageOps.exif_transpose(upright)
        return _shrink(upright, wanted(upright.width, upright.height))
    except PictureError:
        raise
    except Exception as err:  # Pillow raises errors of many kinds on damaged data
        raise _picture_error(err) from err


def _load(picture: Image.Image, truncated: str) -> None:
    """Decodes the pixels; of a picture that is cut off, those that are there."""
    try:
        picture.load()
    except OSError:
        if truncated != "recover":
            raise
        # With no tiles left to read Pillow goes on with the pixels decoded so far; without any it raises again.
        picture.tile = []  # type: ignore[attr-defined]  # Pillow does not declare it
        picture.load()


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Returns a decoded picture in RGB, 8 bits."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(to_eight_bits(np.asarray(picture), picture.mode)).convert("RGB")
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    overlay = picture.convert("RGBA")
    ground = Image.new("RGBA", overlay.size, (*BACKGROUND, 255))
    return Image.alpha_composite(ground, overlay).convert("RGB")


def to_eight_bits(pixels: np.ndarray, mode: str) -> np.ndarray:
    """Returns deep pixels as uint8 of the same shape: scaled, not clipped.

    Args:
        pixels: `[H, W]`, integers or floats.
        mode: Pillow's mode. `I;16…` is scaled over 0 to 65535; `I` too where it keeps to that range; `F` over 0 to 1
            where it keeps to that; others over the range of the picture itself.
    """
    values = np.nan_to_num(pixels.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    whole = 1.0 if mode == "F" else 65535.0
    if low >= 0 and high <= whole:
        low, high = 0.0, whole
    scaled: np.ndarray = np.rint((values - low) * (255.0 / max(high - low, 1e-300))).astype(np.uint8)
    return scaled


def _shrink(picture: Image.Image, size: Size, covers: tuple[float, float] | None = None) -> Image.Image:
    """Shrinks a picture.

    Args:
        picture: any mode that Pillow can filter.
        size: width and height wanted.
        covers: the part of it that shows something, width and height; a reduced decode is rounded up to whole pixels.
    """
    if picture.size == size:
        return picture
    box = (0.0, 0.0, *(covers or picture.size))
    return picture.resize(size, SHRINK_FILTER, box=box)


def _picture_error(err: Exception) -> PictureError:
    """Returns the reason that Pillow's error stands for."""
    text = f"{type(err).__name__}: {err}" if str(err) else type(err).__name__
    if isinstance(err, Image.DecompressionBombError):
        return PictureError("too_many_pixels", str(err))
    cut = isinstance(err, EOFError) or any(word in text.lower() for word in ("truncat", "broken data", "unexpected end"))
    return PictureError("truncated" if cut else "unreadable", text)
