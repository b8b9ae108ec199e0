"""Fingerprints of picture files."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.images.hashes import PictureFiles, file_size, fingerprints, grey_copies, perceptual_hash
from tests.factories import make_jpeg


def picture(seed: int = 0) -> Image.Image:
    """Returns a smooth random picture."""
    return Image.open(io.BytesIO(make_jpeg(640, 480, seed=seed)))


def bits(one: str | None, other: str | None) -> int:
    """Returns in how many bits two hashes differ."""
    assert one is not None
    assert other is not None
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    """SHA-256, whatever the file holds; pictures are not decoded for it."""
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    (found,) = fingerprints(PictureFiles(tmp_path, ("a.jpg",), perceptual=False))
    assert found.sha256 == hashlib.sha256(b"no picture").hexdigest()
    assert (found.phash, found.reason) == (None, None)


@pytest.mark.parametrize("change", ["quality", "size", "png"])
def test_perceptual_hash_stays_when_a_picture_is_stored_anew(tmp_path: Path, change: str) -> None:
    """Another quality, size or format changes four bits at most; another picture changes many."""
    original = picture()
    original.save(tmp_path / "a.jpg", quality=95)
    copy = original.resize((320, 240)) if change == "size" else original
    name = "b.png" if change == "png" else "b.jpg"
    copy.save(tmp_path / name, quality=40 if change == "quality" else 90)
    picture(1).save(tmp_path / "c.jpg")
    one, same, other = fingerprints(PictureFiles(tmp_path, ("a.jpg", name, "c.jpg")))
    assert one.sha256 != same.sha256
    assert bits(one.phash, same.phash) <= 4
    assert bits(one.phash, other.phash) > 12


def test_pictures_that_show_nothing_have_no_perceptual_hash() -> None:
    """Night frames would all be copies of each other."""
    noise = np.random.default_rng(0).integers(10, 13, (200, 300, 3), np.uint8)
    assert perceptual_hash(Image.fromarray(noise)) is None
    assert perceptual_hash(picture()) is not None


def test_unusable_files_have_reasons(tmp_path: Path) -> None:
    """Absent, empty, cut off, no picture, a folder, a path that leads out: none of them raises."""
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "cut.jpg").write_bytes(make_jpeg()[:300])
    (tmp_path / "text.jpg").write_bytes(b"hello")
    (tmp_path / "folder").mkdir()
    names = ("gone.jpg", "empty.jpg", "cut.jpg", "text.jpg", "folder", "../x.jpg", "https://host/a.jpg")
    found = fingerprints(PictureFiles(tmp_path, names))
    assert [one.reason for one in found] == [
        "missing_file", "empty_file", "truncated", "not_a_picture", "unreadable", "outside_root", "missing_file"
    ]  # fmt: skip
    assert [one.sha256 is not None for one in found] == [False, False, True, True, False, False, False]
    assert [copy is None for copy in grey_copies(PictureFiles(tmp_path, names))] == [True] * 7
    assert [file_size(tmp_path, name) for name in ("gone.jpg", "text.jpg", "../x.jpg")] == [-1, 5, -1]
