"""Windows of crops: the published vectors, what holds for any box, and the pixels."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.config.names import CropStrategy
from camtrap_tf.images.crop import (
    CropGeometry,
    Window,
    crop_window,
    cut,
    encode_crop,
    is_crop_of,
    mark_of,
    size_of,
    turned,
    whole_picture,
)
from tests.factories import make_jpeg

PICTURE = (100, 60)
WHITE = np.full((60, 100, 3), 255, np.uint8)
OURS, LEGACY = CropGeometry(), CropGeometry(legacy=True)


def shown(window: Window | None) -> tuple[int, int, int, int]:
    """Returns x, y and the size of the crop."""
    assert window is not None
    return (window.x, window.y, *window.canvas)


@pytest.mark.parametrize(
    ("box", "legacy", "expected", "black_columns", "black_rows"),
    [
        ((10, 20, 20, 10), False, (10, 15, 20, 20), 0, 0),
        ((10, 20, 20, 10), True, (10, 15, 20, 20), 0, 0),
        ((2, 10, 8, 40), False, (0, 10, 40, 40), 0, 0),
        ((2, 10, 8, 40), True, (0, 10, 40, 40), 0, 0),
        ((90, 10, 8, 40), True, (74, 10, 40, 40), 14, 0),
        ((90, 10, 8, 40), False, (60, 10, 40, 40), 0, 0),
        ((5, 5, 80, 20), False, (5, 0, 80, 80), 0, 20),
        ((5, 5, 80, 20), True, (5, 0, 80, 80), 0, 20),
    ],
)
def test_square_windows_are_the_published_ones(
    box: tuple[float, float, float, float],
    legacy: bool,
    expected: tuple[int, int, int, int],
    black_columns: int,
    black_rows: int,
) -> None:
    """Squares of a picture of 100 x 60 px have the published corners and black margins, in the pixels too."""
    window = crop_window(box, PICTURE, CropGeometry(legacy=legacy))
    assert shown(window) == expected
    assert window is not None
    pixels = cut(WHITE, window)
    assert int((pixels.max((0, 2)) == 0).sum()) == black_columns
    assert int((pixels.max((1, 2)) == 0).sum()) == black_rows


def test_black_columns_of_a_legacy_square_are_at_its_right() -> None:
    """The classic programs fill what sticks out at the right edge; the picture begins in the first column."""
    window = crop_window((90, 10, 8, 40), PICTURE, LEGACY)
    assert window is not None
    pixels = cut(WHITE, window)
    assert (pixels[:, :26] == 255).all()
    assert (pixels[:, 26:] == 0).all()


def test_legacy_squares_equal_a_straightforward_cutting() -> None:
    """For random boxes of whole pixels legacy crops equal those that Pillow cuts and pads by the published rule."""
    rng = np.random.default_rng(3)
    for _ in range(200):
        width, height = (int(number) for number in rng.integers(5, 40, 2))
        picture = Image.fromarray(rng.integers(1, 255, (height, width, 3), np.uint8))
        w, h = int(rng.integers(1, width + 1)), int(rng.integers(1, height + 1))
        x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
        side = max(w, h)
        left = max(0, min(x - int((side - w) / 2), width - w))
        top = max(0, min(y - int((side - h) / 2), height - h))
        expected = picture.crop((left, top, left + min(width, side), top + min(height, side)))
        canvas = Image.new("RGB", (side, side))
        canvas.paste(expected, (round((side - expected.width) / 2), round((side - expected.height) / 2)))
        window = crop_window((x, y, w, h), picture.size, LEGACY)
        assert window is not None
        assert np.array_equal(cut(np.asarray(picture), window), np.asarray(canvas)), (picture.size, (x, y, w, h))


def test_our_squares_hold_the_box_and_stay_in_the_picture() -> None:
    """A square has the side of the box's longer side, holds the box, and is black only where the picture is smaller."""
    rng = np.random.default_rng(1)
    for _ in range(500):
        width, height = (int(number) for number in rng.integers(2, 60, 2))
        left, right = sorted(rng.choice(width + 1, 2, replace=False).tolist())
        top, bottom = sorted(rng.choice(height + 1, 2, replace=False).tolist())
        window = crop_window((left, top, right - left, bottom - top), (width, height), OURS)
        assert window is not None
        side = max(right - left, bottom - top)
        assert window.canvas == (side, side)
        assert (window.width, window.height) == (min(side, width), min(side, height))
        assert 0 <= window.x <= left
        assert right <= window.x + window.width <= width
        assert 0 <= window.y <= top
        assert bottom <= window.y + window.height <= height


def test_pad_shows_the_box_alone_in_the_middle_of_black() -> None:
    """Nothing around the box is shown; it lies in the middle."""
    picture = Image.new("RGB", PICTURE, (255, 0, 0))
    picture.paste((0, 255, 0), (10, 20, 30, 30))
    window = crop_window((10, 20, 20, 10), PICTURE, CropGeometry("pad"))
    assert window is not None
    pixels = cut(np.asarray(picture), window)
    assert pixels.shape == (20, 20, 3)
    assert (pixels[5:15] == (0, 255, 0)).all()
    assert (pixels[:5] == 0).all()
    assert (pixels[15:] == 0).all()


def test_tight_is_the_box() -> None:
    """A tight crop has the size of its box."""
    assert crop_window((10, 20, 20, 10), PICTURE, CropGeometry("tight")) == Window(10, 20, 20, 10, (20, 10))


@pytest.mark.parametrize("strategy", ["square", "pad", "tight"])
def test_fractions_of_pixels_are_rounded_once(strategy: CropStrategy) -> None:
    """The size of a crop is that of the box's rounded edges, never a pixel more, and it is not resampled."""
    window = crop_window((10.4, 20.4, 20.2, 10.2), PICTURE, CropGeometry(strategy))
    assert window is not None
    assert max(window.canvas) == 21  # 10.4 … 30.6 is 10 … 31


def test_a_box_thinner_than_a_pixel_takes_the_pixel_it_lies_in() -> None:
    """Boxes of small pictures do not vanish in rounding."""
    assert crop_window((10.1, 20.1, 0.2, 0.2), PICTURE, CropGeometry("tight")) == Window(10, 20, 1, 1, (1, 1))
    assert crop_window((99.7, 59.7, 0.3, 0.3), PICTURE, CropGeometry("tight")) == Window(99, 59, 1, 1, (1, 1))


def test_what_lies_outside_has_no_window() -> None:
    """A box beyond the edge has no crop; one that sticks out is cut at the edge."""
    assert crop_window((120, 10, 8, 8), PICTURE, OURS) is None
    assert crop_window((90, 50, 20, 20), PICTURE, CropGeometry("tight")) == Window(90, 50, 10, 10, (10, 10))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_turn_with_their_picture(orientation: int) -> None:
    """A box of the stored picture shows the same thing in the upright one that the decoder makes."""
    stored = Image.new("RGB", (80, 40), (0, 0, 0))
    stored.paste((255, 255, 255), (8, 16, 32, 24))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "PNG", exif=exif)
    upright = whole_picture(buffer.getvalue(), truncated="reject", max_pixels=10**6)
    assert upright.shape == (80, 40, 3)
    x, y, width, height = turned((8 / 80, 16 / 40, 24 / 80, 8 / 40), orientation)
    box = (x * 40, y * 80, width * 40, height * 80)
    window = crop_window(box, size_of(upright), CropGeometry("tight"))
    assert window is not None
    assert window.canvas == (8, 24)
    assert (cut(upright, window) == 255).all()


def test_a_crop_file_is_known_by_its_mark(tmp_path: Path) -> None:
    """A crop says what it was made of; cut short, or asked for another mark, it is not taken for it."""
    jpeg = encode_crop(np.full((8, 8, 3), 9, np.uint8), quality=90, mark="camtrap crop 1")
    assert mark_of(jpeg) == "camtrap crop 1"
    assert mark_of(make_jpeg()) is None
    assert Image.open(io.BytesIO(jpeg)).size == (8, 8)
    whole, short = tmp_path / "a.jpg", tmp_path / "b.jpg"
    whole.write_bytes(jpeg)
    short.write_bytes(jpeg[:-4])
    assert is_crop_of(whole, "camtrap crop 1")
    assert not is_crop_of(whole, "camtrap crop 2")
    assert not is_crop_of(short, "camtrap crop 1")
    assert not is_crop_of(tmp_path / "absent.jpg", "camtrap crop 1")
