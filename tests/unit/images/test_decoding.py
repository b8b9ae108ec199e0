"""Decoding of pictures of all kinds."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image, ImageOps

from camtrap_tf.errors import PictureError
from camtrap_tf.images.decoding import BACKGROUND, decode_picture, decode_pixels, reduction, to_eight_bits
from tests.factories import make_jpeg
from tests.shared_data import shared

CORNERS = {"left top": (255, 0, 0), "right top": (0, 255, 0), "left bottom": (0, 0, 255), "right bottom": (255, 255, 0)}


def decode(data: bytes, side: int | None = None, **options: Any) -> np.ndarray:
    """Decodes, with the smaller side shrunk to `side`."""

    def wanted(width: int, height: int) -> tuple[int, int]:
        """Returns the size to shrink to."""
        factor = min(1.0, side / min(width, height)) if side else 1.0
        return round(width * factor), round(height * factor)

    options = {"truncated": "reject", "max_pixels": 10**8, **options}
    picture = decode_picture(data, wanted=wanted, **options)
    assert picture.mode == "RGB"
    return np.asarray(picture)


def save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """Bytes of a picture in a format."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pattern(width: int = 96, height: int = 64) -> Image.Image:
    """A smooth picture with a colour of its own in each corner."""
    tiny = np.array([list(CORNERS.values())[:2], list(CORNERS.values())[2:]], np.uint8)
    return Image.fromarray(tiny).resize((width, height), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP", "JPEG", "JPEG2000"])
def test_any_format_gives_the_same_picture(kind: str) -> None:
    """Formats are told from the content; lossless ones come back exactly, the others nearly."""
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 98, "subsampling": 0}}.get(kind, {})
    difference = np.abs(decode(save(pattern(), kind, **options)).astype(int) - np.asarray(pattern()).astype(int))
    assert difference.mean() <= {"GIF": 8, "JPEG": 1.5}.get(kind, 0)


def test_grey_becomes_three_equal_channels() -> None:
    """A grey JPEG and a grey PNG have three channels, all the same."""
    grey = pattern().convert("L")
    for data in (save(grey, "JPEG"), save(grey, "PNG")):
        pixels = decode(data)
        assert (pixels[..., 0] == pixels[..., 1]).all()
        assert (pixels[..., 0] == pixels[..., 2]).all()
        assert np.abs(pixels[..., 0].astype(int) - np.asarray(grey).astype(int)).mean() < 2


def test_cmyk_keeps_its_colours() -> None:
    """A CMYK JPEG, which Pillow writes inverted as Adobe does, looks like its source."""
    pixels = decode(save(pattern().convert("CMYK"), "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - np.asarray(pattern()).astype(int)).mean() < 4


def test_real_cmyk_picture_looks_like_its_rgb_original() -> None:
    """The CMYK copy of a real picture is nearly the original."""
    folder = shared("data/speciesnet_awkward")
    one, other = (decode((folder / f"african_elephants{end}.jpg").read_bytes(), 200) for end in ("", "_cmyk"))
    assert np.abs(one.astype(int) - other.astype(int)).mean() < 6


def test_transparent_pixels_show_white() -> None:
    """What is transparent is white, what is half so is mixed; palette, grey and colour keys too."""
    for mode in ("RGBA", "LA"):
        picture = Image.new(mode, (8, 8), 0)
        assert (decode(save(picture, "PNG")) == BACKGROUND).all()
    half = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert decode(save(half, "PNG"))[0, 0].tolist() == [127, 127, 127]
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 200, 10, 10])
    assert (decode(save(palette, "PNG", transparency=1)) == BACKGROUND).all()
    assert decode(save(palette, "PNG"))[0, 0].tolist() == [200, 10, 10]
    keyed = Image.new("RGB", (8, 8), (1, 2, 3))
    assert (decode(save(keyed, "PNG", transparency=(1, 2, 3))) == BACKGROUND).all()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    """A ramp over 16 bits is a ramp over 8."""
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, 0)
    for kind in ("PNG", "TIFF"):
        pixels = decode(save(Image.fromarray(ramp), kind))
        assert np.abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(
    ("values", "mode", "expected"),
    [
        ([0, 65535, 32768], "I;16", [0, 255, 128]),
        ([0, 100_000, 50_000], "I", [0, 255, 128]),
        ([-10, 10, 0], "I", [0, 255, 128]),
        ([0.0, 1.0, 0.5], "F", [0, 255, 128]),
        ([0.0, 510.0, 2.0], "F", [0, 255, 1]),
        ([0.5, np.nan, np.inf], "F", [128, 0, 0]),
        ([7, 7, 7], "I", [0, 0, 0]),
    ],
)
def test_deep_pixels(values: list[float], mode: str, expected: list[int]) -> None:
    """Deep pixels are scaled over the range of their kind, or of the picture where it goes beyond."""
    assert to_eight_bits(np.array([values]), mode).tolist() == [expected]


def test_first_frame_of_an_animation() -> None:
    """Of several frames the first counts: GIF, WebP, TIFF, MPO."""
    frames = [Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    for kind in ("GIF", "WEBP", "TIFF", "MPO", "PNG"):
        data = save(frames[0], kind, save_all=True, append_images=frames[1:])
        assert np.abs(decode(data)[8, 8].astype(int) - (250, 0, 0)).max() < 12, kind


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_applied(orientation: int, kind: str) -> None:
    """All eight EXIF orientations come out upright, in every format that has them."""
    upright = pattern()
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes each orientation
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(turn[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = decode(save(stored, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {})), 32)
    assert pixels.shape == (32, 48, 3)
    found = {
        "left top": pixels[0, 0],
        "right top": pixels[0, -1],
        "left bottom": pixels[-1, 0],
        "right bottom": pixels[-1, -1],
    }
    for corner, colour in CORNERS.items():
        assert np.abs(found[corner].astype(int) - colour).max() < 50, corner


def test_real_rotated_picture_is_upright() -> None:
    """A real picture with orientation 6 equals its unrotated original, but for its coding."""
    folder = shared("data/speciesnet_awkward")
    one, other = (decode((folder / f"african_elephants{end}.jpg").read_bytes(), 100) for end in ("", "_with_exif_orientation"))
    assert one.shape == other.shape
    assert np.abs(one.astype(int) - other.astype(int)).mean() < 4


def test_damaged_exif_does_no_harm() -> None:
    """Bytes in the place of EXIF that are none leave the picture as it is."""
    assert decode(save(pattern(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01")).shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("full", "wanted", "eighths"),
    [
        ((2048, 1494), (685, 500), 4),
        ((4000, 3000), (667, 500), 2),
        ((1920, 1080), (889, 500), 8),
        ((8000, 6000), (667, 500), 1),
        ((2000, 2000), (500, 500), 3),
        ((300, 200), (300, 200), 8),
        ((720, 720), (250, 250), 4),
    ],
)
def test_reduction_keeps_a_margin(full: tuple[int, int], wanted: tuple[int, int], eighths: int) -> None:
    """The strongest reduction that is still at least 1.4 times the size wanted."""
    assert reduction(full, wanted) == eighths


def test_reduced_decoding_is_exact_enough() -> None:
    """A real picture differs from a floating-point shrink of the full decode by less than JPEG coding itself would."""
    path = sorted(shared("data/cct20_21images/images").glob("*.jpg"))[0]
    pixels = simplejpeg.decode_jpeg(path.read_bytes(), "RGB").astype(np.float32)
    for side in (500, 250, 620):
        ours = decode(path.read_bytes(), side)
        size = (ours.shape[1], ours.shape[0])
        planes = [Image.fromarray(pixels[..., c]).resize(size, Image.Resampling.BILINEAR) for c in range(3)]
        assert np.abs(ours - np.stack([np.asarray(plane) for plane in planes], -1)).mean() < 1.5


def test_odd_sides_do_not_shift_the_picture() -> None:
    """A reduced decode rounded up to whole pixels is not stretched: a gradient keeps its place."""
    ramp = np.linspace(0, 255, 1001).astype(np.uint8)[None].repeat(501, 0)
    data = save(Image.fromarray(ramp).convert("RGB"), "JPEG", quality=95)
    row = decode(data, 100)[50, :, 0].astype(float)
    centres = (np.arange(len(row)) + 0.5) * 1001 / len(row) - 0.5
    np.testing.assert_allclose(row[2:-2], (centres * 255 / 1000)[2:-2], atol=1.5)


def test_pictures_in_a_row_do_not_mix() -> None:
    """The memory that decoding uses again does not show in pictures given back earlier."""
    one, other = make_jpeg(seed=1), make_jpeg(seed=2)
    first = decode_picture(one, wanted=lambda w, h: (w, h), truncated="reject", max_pixels=10**6)
    before = np.asarray(first).copy()
    decode(other)
    np.testing.assert_array_equal(np.asarray(first), before)


# ── pixels instead of pictures ───────────────────────────────────────────────────────────────────────────────────────


def by_pillow(data: bytes) -> np.ndarray:
    """Decodes by Pillow alone, which has a libjpeg and a way of turning pictures of its own."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "subsampling"), [("JPEG", 0), ("JPEG", 1), ("JPEG", 2), ("PNG", None)])
def test_pixels_are_those_of_pillow(orientation: int, kind: str, subsampling: int | None) -> None:
    """At full size every pixel equals Pillow's own decode, turned upright by Pillow, for sides of no whole blocks too."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    noise = np.random.default_rng(orientation).integers(0, 256, (9, 13, 3), np.uint8)
    stored = Image.fromarray(noise).resize((101, 67), Image.Resampling.BICUBIC)
    options = {} if subsampling is None else {"quality": 90, "subsampling": subsampling}
    data = save(stored, kind, exif=exif, **options)
    np.testing.assert_array_equal(decode_pixels(data, truncated="reject", max_pixels=10**6), by_pillow(data))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_pixels_of_other_jpegs_are_those_of_pillow(mode: str) -> None:
    """Grey and CMYK come as RGB, pixel for pixel as Pillow converts them."""
    data = save(pattern().convert(mode), "JPEG", quality=90)
    np.testing.assert_array_equal(decode_pixels(data, truncated="reject", max_pixels=10**6), by_pillow(data))


def test_pixels_of_real_pictures_are_those_of_pillow() -> None:
    """Pictures of a camera, at full size, equal Pillow's own decode."""
    one, other, *_ = sorted(shared("data/cct20_21images/images").glob("*.jpg"))
    for path in (one, other):
        data = path.read_bytes()
        np.testing.assert_array_equal(decode_pixels(data, truncated="reject", max_pixels=10**8), by_pillow(data))


def test_pixels_of_a_cut_picture_are_those_that_are_there() -> None:
    """A picture that is cut off is refused or recovered, as it is as a picture."""
    data = make_jpeg(200, 160)[:-1500]
    with pytest.raises(PictureError) as caught:
        decode_pixels(data, truncated="reject", max_pixels=10**6)
    assert caught.value.reason == "truncated"
    recovered = decode_pixels(data, truncated="recover", max_pixels=10**6)
    np.testing.assert_array_equal(recovered[:32], by_pillow(make_jpeg(200, 160))[:32])


# ── what cannot be used ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"no picture", "not_a_picture"),
        (b"<html>404</html>" * 50, "not_a_picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not_a_picture"),
        (make_jpeg()[:200], "truncated"),
        (make_jpeg()[:-300], "truncated"),
        (make_jpeg()[:-300] + b"\xff\xd9", "truncated"),
        (save(pattern(), "PNG")[:-100], "truncated"),
        (save(pattern().convert("CMYK"), "JPEG")[:-400], "truncated"),
        (save(Image.new("RGB", (9, 9)), "BMP")[:-20], "truncated"),
        (b"\xff\xd8\xff" + b"junk" * 100, "not_a_picture"),
    ],
)
def test_reasons(data: bytes, reason: str) -> None:
    """What cannot be used has a reason."""
    with pytest.raises(PictureError) as caught:
        decode(data)
    assert caught.value.reason == reason
    assert " at 0x" not in caught.value.detail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "CMYK", "BMP"])
def test_truncated_pictures_can_be_recovered(kind: str) -> None:
    """What is there of a picture that is cut off is given back, in its full size."""
    colour = Image.new("RGB", (64, 64), (200, 100, 50))
    noise = np.random.default_rng(0).integers(0, 30, (64, 64, 3), np.uint8)
    picture = Image.fromarray(np.asarray(colour) + noise)
    data = save(picture.convert("CMYK"), "JPEG") if kind == "CMYK" else save(picture, kind)
    cut = data[: len(data) * 2 // 3]
    pixels = decode(cut, truncated="recover")
    assert pixels.shape == (64, 64, 3)
    kept = pixels[-16:] if kind == "BMP" else pixels[:16]  # BMP starts at the bottom
    assert np.abs(kept.reshape(-1, 3).mean(0) - (214, 114, 64)).max() < 12


def test_nothing_to_recover_stays_rejected() -> None:
    """A picture of which only the header is there is truncated, recovered or not."""
    with pytest.raises(PictureError, match="truncated"):
        decode(make_jpeg()[:200], truncated="recover")


def test_stray_bytes_are_harmless() -> None:
    """Bytes after the end, as some cameras leave them, do no harm."""
    assert decode(make_jpeg() + b"\0" * 500).shape == (48, 64, 3)


def test_pixel_limit_is_checked_on_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture over the limit is refused before anything is decoded; at the limit it is not."""
    data = make_jpeg(64, 48)
    assert decode(data, max_pixels=64 * 48).shape == (48, 64, 3)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(PictureError, match="too_many_pixels: 64 x 48 px") as caught:
        decode(data, max_pixels=64 * 48 - 1)
    assert caught.value.reason == "too_many_pixels"


def test_a_bomb_is_refused() -> None:
    """A small file that claims a huge picture is refused, by the limit or by Pillow's own guard."""
    header = bytearray(save(Image.new("1", (8, 8)), "PNG"))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    with pytest.raises(PictureError, match="too_many_pixels"):
        decode(bytes(header), max_pixels=100_000_000)
