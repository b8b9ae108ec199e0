"""Fingerprints of picture files: the digest of the bytes, a perceptual hash, and a small grey copy to compare by.

A module that worker processes import; the library of perceptual hashes is loaded when one is made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from camtrap_tf.errors import PictureError
from camtrap_tf.files import join_inside
from camtrap_tf.images.decoding import decode_picture
from camtrap_tf.images.stored_form import open_picture

SMALL_SIDE = 32
"""Side in px of the grey copy by which two pictures are compared."""

DECODED_SIDE = 256
"""Pictures are shrunk to this smaller side, in px, before they are made smaller; far more than the hash looks at."""

FLAT_LEVELS = 2.0
"""A grey copy that varies less than this (standard deviation, in levels of 255) shows nothing: night, fog, a covered lens.

All such pictures have nearly the same hash; they are no copies of each other, so they get none.
"""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is known of a picture file.

    Attributes:
        sha256: digest of its bytes in hexadecimal; None where it cannot be read.
        phash: perceptual hash in hexadecimal, 64 bits; None where it was not asked for or the picture shows nothing.
        reason: why it could not be read or decoded, e.g. `missing_file`; None where it could.
    """

    sha256: str | None = None
    phash: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Some picture files to be looked at in one go.

    Attributes:
        root: folder that the paths are relative to.
        paths: as the inventory gives them.
        perceptual: whether perceptual hashes are wanted, for which a picture has to be decoded.
        max_pixels: pictures with more pixels are not decoded.
    """

    root: Path | None
    paths: tuple[str, ...]
    perceptual: bool = True
    max_pixels: int = 100_000_000


def fingerprints(files: PictureFiles) -> list[Fingerprint]:
    """Returns the fingerprint of each file, in order."""
    return [_fingerprint(path, files) for path in files.paths]


def _fingerprint(stored: str, files: PictureFiles) -> Fingerprint:
    digest = None
    try:
        with open_picture(_inside(files.root, stored)) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if file.tell() == 0:
                return Fingerprint(reason="empty_file")
            if not files.perceptual:
                return Fingerprint(digest)
            file.seek(0)
            picture = _decoded(file.read(), files.max_pixels)
    except PictureError as err:
        return Fingerprint(digest, reason=err.reason)
    return Fingerprint(digest, perceptual_hash(picture))


def perceptual_hash(picture: Image.Image) -> str | None:
    """Returns the perceptual hash of a picture, 16 hexadecimal digits; None where it shows nothing.

    The signs of its 64 lowest frequencies against their median; few of them change when a picture is encoded again or
    resized.
    """
    import imagehash

    return None if grey_copy(picture).std() < FLAT_LEVELS else str(imagehash.phash(picture))


def grey_copy(picture: Image.Image) -> npt.NDArray[np.uint8]:
    """Returns a picture in grey, `[32, 32]` uint8."""
    small = picture.convert("L").resize((SMALL_SIDE, SMALL_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small, np.uint8)


def grey_copies(files: PictureFiles) -> list[npt.NDArray[np.uint8] | None]:
    """Returns the grey copy of each file, `[32, 32]`, in order; None where it cannot be read."""
    copies: list[npt.NDArray[np.uint8] | None] = []
    for stored in files.paths:
        try:
            with open_picture(_inside(files.root, stored)) as file:
                copies.append(grey_copy(_decoded(file.read(), files.max_pixels)))
        except PictureError:
            copies.append(None)
    return copies


def file_size(root: Path | None, stored: str) -> int:
    """Returns the size of a picture file in bytes; -1 where there is none to be read."""
    try:
        return _inside(root, stored).stat().st_size
    except (PictureError, OSError):
        return -1


def _inside(root: Path | None, stored: str) -> Path:
    try:
        return join_inside(root, stored)
    except ValueError as err:
        raise PictureError("outside_root", "the path leads out of the image root") from err


def _decoded(data: bytes, max_pixels: int) -> Image.Image:
    return decode_picture(data, wanted=_small, truncated="reject", max_pixels=max_pixels)


def _small(width: int, height: int) -> tuple[int, int]:
    scale = min(1.0, DECODED_SIDE / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
