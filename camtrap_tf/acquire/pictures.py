"""Whether bytes begin like a picture. Servers send error pages with the name and status of one."""

from __future__ import annotations

import re

LEAST_BYTES = 16
"""Bytes from the beginning that are enough to tell."""

_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
    b"\x00\x00\x00\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ",
)
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_PAGE = re.compile(rb"\s*(<!doctype|<html|<head|<body|<!--)", re.IGNORECASE)
_POINTERS = (b"version https://git", b"/annex/objects/")


def is_picture(start: bytes) -> bool:
    """Returns whether bytes begin like a JPEG, PNG, GIF, BMP, TIFF, WebP, HEIF, AVIF, JPEG 2000 or JPEG XL file."""
    if start.startswith(_STARTS):
        return True
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return True
    return start[4:8] == b"ftyp" and start[8:12] in _BRANDS


def not_a_picture(start: bytes, content_type: str | None) -> str | None:
    """Returns what came instead of a picture, as a sentence; None where it begins like one.

    Args:
        start: the first bytes, `LEAST_BYTES` or more unless the file is shorter.
        content_type: what the server calls it, for the message.
    """
    if is_picture(start):
        return None
    named = f" (the server calls it {content_type[:60]})" if content_type else ""
    if not start:
        return f"the file is empty{named}"
    if _PAGE.match(start):
        return f"an HTML page came instead of a picture{named}"
    if start.lstrip()[:5].lower() == b"<?xml":
        return f"an XML message came instead of a picture{named}"
    if start.startswith(_POINTERS):
        return f"a pointer of Git LFS or git-annex came instead of the picture{named}"
    return f"it does not begin like a picture{named}"
