"""Crops: the part of a picture that a box shows, as a picture of its own.

Receives the pixels of upright pictures and boxes in px, hands on crops. Three strategies: `square` shows a square window around
the box with what is around the animal, `pad` the box alone, centred on a black square, `tight` the box alone. Boxes are rounded
to whole pixels once and nothing is ever resampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from camtrap_tf.config.names import CropStrategy, TruncatedPolicy
from camtrap_tf.errors import PictureError
from camtrap_tf.images.decoding import decode_pixels
from camtrap_tf.images.stored_form import encode_pixels

Numbers = tuple[float, float, float, float]
Size = tuple[int, int]

TURNED = (5, 6, 7, 8)
"""EXIF orientations in which width and height of the stored picture change places."""

_JFIF = b"\xff\xd8\xff\xe0"
_COMMENT = b"\xff\xfe"
_END = b"\xff\xd9"
_HEAD_BYTES = 512
"""The mark of a crop lies in this many bytes."""


@dataclass(frozen=True, slots=True)
class CropGeometry:
    """How the window of a crop follows from its box.

    Attributes:
        strategy: `square`, `pad` or `tight`.
        legacy: as the classic programs have it: numbers of the box are cut to whole pixels, and a square at the right or lower
            edge is filled with black where ours is moved into the picture.
    """

    strategy: CropStrategy = "square"
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """What a crop shows, all in px.

    Attributes:
        x: left edge of what is shown, in the picture.
        y: its upper edge.
        width: its width, inside the picture.
        height: its height.
        canvas: width and height of the crop; what is not covered is black.
        left: where on the canvas the shown part begins.
        top: likewise.
    """

    x: int
    y: int
    width: int
    height: int
    canvas: Size
    left: int = 0
    top: int = 0


def crop_window(box: Numbers, picture: Size, geometry: CropGeometry) -> Window | None:
    """Returns the window of a box, or None where nothing of it lies in the picture.

    Args:
        box: `x, y, width, height` in px of the upright picture; cut at its edges.
        picture: width and height of the picture.
        geometry: how.
    """
    x, y, width, height = _whole_pixels(box, picture, legacy=geometry.legacy)
    if width <= 0 or height <= 0:
        return None
    side = max(width, height)
    if geometry.strategy == "tight":
        return Window(x, y, width, height, (width, height))
    if geometry.strategy == "pad":
        left, top = (_margin(side - length, legacy=geometry.legacy) for length in (width, height))
        return Window(x, y, width, height, (side, side), left, top)
    shown_x = _centred(x, width, side, picture[0], legacy=geometry.legacy)
    shown_y = _centred(y, height, side, picture[1], legacy=geometry.legacy)
    left, top = (_margin(max(side - length, 0), legacy=geometry.legacy) for length in picture)
    shown_width, shown_height = (min(side, length - at) for length, at in zip(picture, (shown_x, shown_y), strict=True))
    return Window(shown_x, shown_y, shown_width, shown_height, (side, side), left, top)


def _whole_pixels(box: Numbers, picture: Size, *, legacy: bool) -> tuple[int, int, int, int]:
    """Returns a box in whole px, cut at the edges of the picture."""
    x, y, width, height = box
    if legacy:
        edges = [(int(x), int(x) + int(width)), (int(y), int(y) + int(height))]
    else:
        edges = [_rounded(x, width), _rounded(y, height)]
    (left, right), (top, bottom) = ((max(a, 0), min(b, most)) for (a, b), most in zip(edges, picture, strict=True))
    return left, top, right - left, bottom - top


def _rounded(start: float, length: float) -> tuple[int, int]:
    """Returns both ends to the nearest pixel (halves up); what is thinner than a pixel takes the one it lies in."""
    first, last = math.floor(start + 0.5), math.floor(start + length + 0.5)
    if last > first or length <= 0:
        return first, last
    return math.floor(start), math.floor(start) + 1


def _centred(start: int, length: int, side: int, whole: int, *, legacy: bool) -> int:
    """Returns where a window of `side` px around a box begins, moved so that it lies in the picture if it can."""
    last = whole - length if legacy else whole - side
    return max(0, min(start - (side - length) // 2, last))


def _margin(spare: int, *, legacy: bool) -> int:
    """Returns the black pixels before what is centred; an odd one comes after it (of the classic programs: by even halves)."""
    return round(spare / 2) if legacy else spare // 2


def cut(picture: np.ndarray, window: Window) -> np.ndarray:
    """Returns what a window shows: `[height, width, 3]` uint8, a view of the picture where nothing of it is black margin.

    Args:
        picture: `[H, W, 3]` uint8.
        window: inside the picture.
    """
    shown = picture[window.y : window.y + window.height, window.x : window.x + window.width]
    if (window.width, window.height) == window.canvas:
        return shown
    width, height = window.canvas
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[window.top : window.top + window.height, window.left : window.left + window.width] = shown
    return canvas


def cut_box(picture: np.ndarray, box: Numbers, geometry: CropGeometry) -> np.ndarray:
    """Returns the crop of a box in px of an upright picture; both `[H, W, 3]` uint8, as `cut` has them.

    Raises:
        PictureError: `box_empty`: nothing of it lies in the picture.
    """
    window = crop_window(box, size_of(picture), geometry)
    if window is None:
        raise PictureError("box_empty", "less than one pixel of the box is in the picture")
    return cut(picture, window)


def size_of(picture: np.ndarray) -> Size:
    """Returns width and height of `[H, W, 3]` pixels."""
    height, width = picture.shape[:2]
    return width, height


def whole_picture(data: bytes, *, truncated: TruncatedPolicy, max_pixels: int) -> np.ndarray:
    """Returns a picture upright, at full size, `[H, W, 3]` uint8, to be cut from before this thread decodes another one.

    Raises:
        PictureError: as `decoding.decode_pixels`.
    """
    return decode_pixels(data, truncated=truncated, max_pixels=max_pixels)


def turned(box: Numbers, orientation: int) -> Numbers:
    """Returns where a box of the stored picture lies once the picture is upright.

    Args:
        box: `x, y, width, height` in [0, 1] of the picture as it is stored.
        orientation: EXIF orientation, 5 to 8; with others the axes stay and it is not known which picture was meant.
    """
    x, y, width, height = box
    corner = {5: (y, x), 6: (1 - y - height, x), 7: (1 - y - height, 1 - x - width), 8: (y, 1 - x - width)}
    if orientation not in corner:
        return box
    return (*corner[orientation], height, width)


def in_pixels(box: Numbers, picture: Size) -> Numbers:
    """Returns a box in [0, 1] in px of a picture, not rounded."""
    width, height = picture
    return box[0] * width, box[1] * height, box[2] * width, box[3] * height


# ── crops as files ───────────────────────────────────────────────────────────────────────────────────────────────────


def encode_crop(crop: np.ndarray, *, quality: int, mark: str) -> bytes:
    """Returns a crop, `[H, W, 3]` uint8, as JPEG with a mark that says what it was made of; nothing else of its meta data.

    Raises:
        PictureError: `unreadable`: it is larger than a JPEG can be.
    """
    jpeg = encode_pixels(crop, quality)
    text = mark.encode("ascii")
    comment = _COMMENT + (len(text) + 2).to_bytes(2, "big") + text
    # JFIF wants its own segment to come first.
    place = 4 + int.from_bytes(jpeg[4:6], "big") if jpeg.startswith(_JFIF) else 2
    return jpeg[:place] + comment + jpeg[place:]


def mark_of(head: bytes) -> str | None:
    """Returns the mark of a crop from the first bytes of its file; None where it has none.

    Args:
        head: `_HEAD_BYTES` or more.
    """
    place = 2
    while head[:2] == b"\xff\xd8" and place + 4 <= len(head) and head[place] == 0xFF:
        length = int.from_bytes(head[place + 2 : place + 4], "big")
        if head[place : place + 2] == _COMMENT:
            return head[place + 4 : place + 2 + length].decode("ascii", "replace")
        place += 2 + length
    return None


def is_crop_of(path: Path, mark: str) -> bool:
    """Tells whether a file is a whole crop with this mark."""
    try:
        with path.open("rb") as file:
            if mark_of(file.read(_HEAD_BYTES)) != mark:
                return False
            file.seek(-len(_END), 2)
            return file.read() == _END
    except OSError:
        return False
