"""EXIF of JPEG files: read, and a serial number put into it, with Pillow as the second reader."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.errors import PictureError
from camtrap_tf.images.jpeg_exif import CameraFacts, camera_facts, with_serial_number
from tests.factories import make_jpeg
from tests.shared_data import shared

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
MAKER_NOTE = b"offsets in here are nobody's business"


def picture(order: str = "<", *, serial: str | None = None, with_own: bool = True, gps: bool = True) -> bytes:
    """Returns a JPEG with EXIF: maker and model, and EXIF's own directory, as Pillow writes them."""
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F], exif[0x0110] = "Reconyx, Inc", "HC600"
    if gps:
        exif.get_ifd(GPS_IFD)[1] = "S"
    if with_own:
        own = exif.get_ifd(EXIF_IFD)
        own[0x9003], own[0x927C], own[0xA002] = "2020:01:02 03:04:05", MAKER_NOTE, 64
        if serial is not None:
            own[0xA431] = serial
    buffer = io.BytesIO()
    Image.open(io.BytesIO(make_jpeg())).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def as_pillow_reads(data: bytes) -> tuple[dict[int, object], dict[int, object], dict[int, object]]:
    """Returns the first directory without its pointers, EXIF's own and that of GPS."""
    exif = Image.open(io.BytesIO(data)).getexif()
    first = {tag: value for tag, value in exif.items() if tag not in (EXIF_IFD, GPS_IFD)}
    return first, dict(exif.get_ifd(EXIF_IFD)), dict(exif.get_ifd(GPS_IFD))


def with_block(block: bytes) -> bytes:
    """Returns a JPEG with these bytes as its EXIF block."""
    content = b"Exif\0\0" + block
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(content) + 2) + content + make_jpeg()[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("serial", ["1", "SN1", "H600HF12345678"])
@pytest.mark.parametrize("before", [None, "", "OLD", "another one, longer"])
def test_serial_number_is_written_and_all_else_stays(order: str, serial: str, before: str | None) -> None:
    """Pillow reads the new number, every other tag as before, and everything behind the EXIF block is the same to the byte."""
    data = picture(order, serial=before)
    changed = with_serial_number(data, serial)
    first, own, gps = as_pillow_reads(data)
    assert as_pillow_reads(changed) == (first, {**own, 0xA431: serial}, gps)
    assert camera_facts(changed) == CameraFacts(
        date_time_original="2020:01:02 03:04:05", make="Reconyx, Inc", model="HC600", serial_number=serial
    )
    end = data.index(b"\xff\xdb")
    assert changed.endswith(data[end:])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(changed))), np.asarray(Image.open(io.BytesIO(data))))


def test_maker_notes_stay_where_they_are() -> None:
    """Offsets that only the maker knows still hold: the old block is the beginning of the new one, but for one pointer."""
    data = picture()
    changed = with_serial_number(data, "H600HF12345678")
    assert changed.index(MAKER_NOTE) == data.index(MAKER_NOTE)
    start, end = data.index(b"II*\0"), data.index(b"\xff\xdb")
    differ = [at for at in range(start, end) if data[at] != changed[at]]
    assert 1 <= len(differ) <= 4
    assert differ[-1] - differ[0] < 4


def test_thumbnail_stays() -> None:
    """The first directory, which is moved when it needs one entry more, still leads to that of the thumbnail."""
    first = struct.pack("<HHHII", 1, 0x0112, 3, 1, 1) + struct.pack("<I", 26)
    second = struct.pack("<HHHII", 1, 0x0201, 4, 1, 44) + bytes(4)
    changed = with_serial_number(with_block(b"II*\0" + struct.pack("<I", 8) + first + second + b"thumbnail"), "SN1")
    block = changed[changed.index(b"II*\0") :]
    (place,) = struct.unpack_from("<I", block, 4)
    (count,) = struct.unpack_from("<H", block, place)
    assert (place > 26, count) == (True, 2)
    assert struct.unpack_from("<I", block, place + 2 + 12 * count) == (26,)
    assert block[26:].startswith(second + b"thumbnail")
    assert camera_facts(changed).serial_number == "SN1"


@pytest.mark.parametrize("data", [make_jpeg(), b"\xff\xd8" + make_jpeg()[20:], picture(with_own=False)])
def test_pictures_without_exif_of_their_own_get_it(data: bytes) -> None:
    """A block, or a directory in the block, is made where there is none; JFIF stays first; the version is told."""
    changed = with_serial_number(data, "SN12345")
    first, own, gps = as_pillow_reads(changed)
    assert own == {0x9000: b"0232", 0xA431: "SN12345"}
    assert (first, gps) == (as_pillow_reads(data)[0], as_pillow_reads(data)[2])
    assert ("jfif" in Image.open(io.BytesIO(changed)).info) == (b"JFIF" in data)
    assert changed.endswith(data[data.index(b"\xff\xdb") :])


@pytest.mark.parametrize(
    ("kind", "raw", "expected"),
    [
        (7, b"ASCII\0\0\0a, b\0\0", "a, b"),
        (7, b"UNICODE\0" + "Füchse".encode("utf-16-le"), "Füchse"),
        (7, bytes(8) + b"plain  ", "plain"),
        (2, b"trail camera\0", "trail camera"),
        (7, b"F\xfcchse im Wald", "Füchse im Wald"),
        (3, b"abcdefgh", ""),
    ],
)
def test_comments_of_all_character_sets(kind: int, raw: bytes, expected: str) -> None:
    """The eight bytes before a comment say how to read it; where they are the comment itself, it is read whole."""
    count = len(raw) // (2 if kind == 3 else 1)
    own = struct.pack("<H", 1) + struct.pack("<HHII", 0x9286, kind, count, 44) + bytes(4)
    block = b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHII", 0x8769, 4, 1, 26) + bytes(4) + own
    assert camera_facts(with_block(block + raw)).user_comment == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"\x89PNG....", "not_a_jpeg"),
        (make_jpeg()[:30], "truncated"),
        (b"\xff\xd8\xff\xd9", "truncated"),
        (b"\xff\xd8" + b"no segment", "unreadable"),
        (with_block(b"MZ"), "damaged_exif"),
        (with_block(b"II*\0\xff\xff\xff\xff"), "damaged_exif"),
        (with_block(b"II*\0\x08\0\0\0\xff\xff"), "damaged_exif"),
        (with_block(b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x010F, 2, 0xFFFFFFFF, 8)), "damaged_exif"),
        (with_block(b"II*\0" + struct.pack("<IHHHII", 8, 1, 0x010F, 99, 1, 8)), "damaged_exif"),
    ],
)
def test_damaged_files_have_a_reason(data: bytes, reason: str) -> None:
    """What is no JPEG, cut off or leads astray is a PictureError, quickly, whatever sizes it names."""
    with pytest.raises(PictureError) as caught:
        camera_facts(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("data", "serial", "reason"),
    [
        (make_jpeg(), "Gerät", "bad_serial"),
        (make_jpeg(), "a\0b", "bad_serial"),
        (make_jpeg(), "", "bad_serial"),
        (make_jpeg(), "x" * 101, "bad_serial"),
        (with_block(b"II*\0\x08\0\0\0" + bytes(65_500)), "SN12345", "exif_full"),
    ],
)
def test_numbers_that_cannot_be_written(data: bytes, serial: str, reason: str) -> None:
    """A number that EXIF cannot hold, and a block that is full, are a PictureError; nothing is cut."""
    with pytest.raises(PictureError) as caught:
        with_serial_number(data, serial)
    assert caught.value.reason == reason


@pytest.mark.parametrize("folder", ["camtrap_dp_example", "cats_dogs"])
def test_real_pictures_of_cameras_keep_everything_else(folder: str) -> None:
    """EXIF of real files, maker notes and GPS among it, is as it was but for the number, and so is what follows it."""
    files = sorted(shared(f"data/{folder}").rglob("*.[jJ][pP][gG]"))
    jpegs = [data for data in (file.read_bytes() for file in files) if data.startswith(b"\xff\xd8")]
    known = [data for data in jpegs if camera_facts(data).make]
    assert len(known) >= 10
    for data in known:
        changed = with_serial_number(data, "H600HF12345678")
        first, own, gps = as_pillow_reads(data)
        assert repr(as_pillow_reads(changed)[::2]) == repr((first, gps))
        assert {tag: str(value) for tag, value in as_pillow_reads(changed)[1].items() if tag != 0xA431} == {
            tag: str(value) for tag, value in own.items() if tag != 0xA431
        }
        assert camera_facts(changed).serial_number == "H600HF12345678"
        assert changed.endswith(data[data.rindex(b"\xff\xda") :])
