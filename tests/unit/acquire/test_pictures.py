"""Whether bytes begin like a picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from camtrap_tf.acquire.pictures import LEAST_BYTES, is_picture, not_a_picture


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "AVIF"])
def test_pictures_of_all_kinds_are_known(form: str) -> None:
    """What Pillow writes in each form is a picture by its first bytes."""
    buffer = io.BytesIO()
    try:
        Image.new("RGB", (8, 8)).save(buffer, form)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {form}")
    assert is_picture(buffer.getvalue()[:LEAST_BYTES])


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\n <!DOCTYPE html><html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error>", "an XML message"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"", "the file is empty"),
        (b"%PDF-1.7 ........", "does not begin like a picture"),
        (b"\xff\xd8", "does not begin like a picture"),
    ],
)
def test_what_came_instead_is_said(start: bytes, said: str) -> None:
    """The reason names what came, and what the server calls it."""
    problem = not_a_picture(start, "image/jpeg")
    assert problem is not None
    assert said in problem
    assert "image/jpeg" in problem
