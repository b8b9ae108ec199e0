"""EXIF of JPEG files: what it says of the camera, and a serial number put into it; nothing is decoded or encoded again.

Receives the bytes of files. A serial number is added at the end of the EXIF block, with a new directory that points to it:
whatever else the block holds stays byte for byte where it is, so that offsets inside maker notes, which nobody but their
maker knows, still hold. Libraries that take the block apart and write it anew move them, and the usual one drops JFIF too
(piexif, issue 148), or lose the thumbnail (Pillow).

Source: CIPA DC-008 (Exif 2.32), 4.5 and 4.6; TIFF 6.0, section 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from camtrap_tf.errors import PictureError
from camtrap_tf.images.decoding import JPEG_START

MAKE, MODEL, EXIF_DIRECTORY, DNG_SERIAL = 0x010F, 0x0110, 0x8769, 0xC62F
VERSION, TAKEN, COMMENT, BODY_SERIAL = 0x9000, 0x9003, 0x9286, 0xA431

MOST_SERIAL = 100
"""Characters of a serial number at most; those of cameras have about ten."""

_APP0, _APP1, _SCAN, _END = 0xE0, 0xE1, 0xDA, 0xD9
_EXIF = b"Exif\0\0"
_MOST_SEGMENT = 0xFFFF
_BYTE, _ASCII, _LONG, _UNDEFINED = 1, 2, 4, 7
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_ENTRY = 12
_EMPTY = b"II*\0\x08\0\0\0" + bytes(6)
"""A block whose one directory has no entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFacts:
    """What a picture says of when it was taken and by which camera; empty where it does not.

    Attributes:
        date_time_original: `DateTimeOriginal` as it stands there.
        make: maker of the camera.
        model: its model.
        serial_number: `BodySerialNumber`, else DNG's `CameraSerialNumber`; those in maker notes are not read.
        user_comment: `UserComment` as text.
    """

    date_time_original: str = ""
    make: str = ""
    model: str = ""
    serial_number: str = ""
    user_comment: str = ""


def camera_facts(data: bytes) -> CameraFacts:
    """Returns what the EXIF of a JPEG says of its camera.

    Args:
        data: the file, or as much of it that its meta data are in it.

    Raises:
        PictureError: `empty_file`, `not_a_jpeg`, `truncated`, `unreadable` or `damaged_exif`.
    """
    place = _find(data)
    if place is None:
        return CameraFacts()
    block = _Block(data[place[0] + 4 + len(_EXIF) : place[1]])
    first = block.directory(block.start)
    taken = block.directory(block.pointer(first)) if EXIF_DIRECTORY in first.entries else _Directory({}, 0)
    serial = block.text(taken, BODY_SERIAL) or block.text(first, BODY_SERIAL) or block.text(first, DNG_SERIAL)
    return CameraFacts(
        date_time_original=block.text(taken, TAKEN),
        make=block.text(first, MAKE),
        model=block.text(first, MODEL),
        serial_number=serial,
        user_comment=block.comment(taken),
    )


def with_serial_number(data: bytes, serial: str) -> bytes:
    """Returns a JPEG whose EXIF has this `BodySerialNumber`; everything outside the EXIF block is the same to the byte.

    Args:
        data: the whole file; a block is made where it has none.
        serial: printable ASCII, 1 to 100 characters.

    Raises:
        PictureError: as `camera_facts`; `bad_serial`: it cannot be written; `exif_full`: the block has no room for it.
    """
    check_serial(serial)
    place = _find(data)
    if place is None:
        start = end = _after_jfif(data)
        block = _Block(_EMPTY)
    else:
        start, end = place
        block = _Block(data[start + 4 + len(_EXIF) : end])
    content = _EXIF + _grown(block, serial)
    if len(content) + 2 > _MOST_SEGMENT:
        raise PictureError("exif_full", "its EXIF block has no room for a serial number")
    return data[:start] + struct.pack(">BBH", 0xFF, _APP1, len(content) + 2) + content + data[end:]


def check_serial(serial: str) -> None:
    """Makes sure that a serial number can be written.

    Raises:
        PictureError: `bad_serial`: it is not of 1 to 100 printable ASCII characters.
    """
    if not (serial.isascii() and serial.isprintable() and 0 < len(serial) <= MOST_SERIAL):
        raise PictureError(
            "bad_serial", f"serial number {serial[:40]!r} is not of 1 to {MOST_SERIAL} printable ASCII characters"
        )


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields marker, start and end of the segments before the pixels.

    Raises:
        PictureError: `empty_file`, `not_a_jpeg`, `truncated` or `unreadable`.
    """
    if not data:
        raise PictureError("empty_file", "the file has no content")
    if not data.startswith(JPEG_START):
        raise PictureError("not_a_jpeg", "the content is no JPEG")
    place = 2
    while True:
        while data[place : place + 2] == b"\xff\xff":  # fill bytes
            place += 1
        if place + 4 > len(data):
            raise PictureError("truncated", "the file ends before its pixels begin")
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if data[place] != 0xFF or marker == _END or length < 2:
            raise PictureError("unreadable", f"no JPEG segment begins at byte {place}")
        if marker == _SCAN:
            return
        end = place + 2 + length
        if end > len(data):
            raise PictureError("truncated", "the file ends before its pixels begin")
        yield marker, place, end
        place = end


def _find(data: bytes) -> tuple[int, int] | None:
    """Returns start and end of the first segment with EXIF, or None where there is none; raises as `_segments`."""
    for marker, start, end in _segments(data):
        if marker == _APP1 and data[start + 4 : start + 4 + len(_EXIF)] == _EXIF:
            return start, end
    return None


def _after_jfif(data: bytes) -> int:
    """Returns where a new segment goes: behind that of JFIF, which wants to come first, else at the beginning."""
    marker, _, end = next(_segments(data), (0, 0, 0))
    return end if marker == _APP0 else len(JPEG_START)


@dataclass(frozen=True, slots=True)
class _Directory:
    """Entries of a directory: tag → its 12 bytes; and the offset of the next directory."""

    entries: dict[int, bytes]
    following: int


class _Block:
    """A TIFF structure; every offset that it names is checked before it is followed."""

    def __init__(self, data: bytes) -> None:
        """Reads the header; raises a PictureError `damaged_exif` where there is none."""
        self.data = data
        self.order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4], "")
        if not self.order or len(data) < 8:
            raise PictureError("damaged_exif", "the EXIF block has no TIFF header")
        self.start: int = struct.unpack_from(self.order + "I", data, 4)[0]

    def directory(self, place: int) -> _Directory:
        """Returns the directory at an offset; the first of several entries of one tag counts.

        Raises:
            PictureError: `damaged_exif`: it does not lie in the block.
        """
        count = struct.unpack(self.order + "H", self._bytes(place, 2))[0]
        raw = self._bytes(place + 2, count * _ENTRY)
        entries: dict[int, bytes] = {}
        for at in range(0, len(raw), _ENTRY):
            entries.setdefault(struct.unpack_from(self.order + "H", raw, at)[0], raw[at : at + _ENTRY])
        # Some cameras leave out where the next directory is when there is none.
        tail = self.data[place + 2 + len(raw) : place + 6 + len(raw)]
        return _Directory(entries, struct.unpack(self.order + "I", tail)[0] if len(tail) == 4 else 0)

    def pointer(self, directory: _Directory) -> int:
        """Returns the offset of the directory of EXIF's own tags."""
        offset: int = struct.unpack_from(self.order + "I", directory.entries[EXIF_DIRECTORY], 8)[0]
        return offset

    def value(self, directory: _Directory, tag: int) -> tuple[int, bytes]:
        """Returns kind and bytes of a value; of kind 0 and empty where the tag is absent.

        Raises:
            PictureError: `damaged_exif`: its kind is unknown, or it does not lie in the block.
        """
        entry = directory.entries.get(tag)
        if entry is None:
            return 0, b""
        _, kind, count, offset = struct.unpack(self.order + "HHII", entry)
        if kind not in _SIZES:
            raise PictureError("damaged_exif", f"tag {tag:#06x} is of no kind that there is")
        size = _SIZES[kind] * count
        return kind, entry[8 : 8 + size] if size <= 4 else self._bytes(offset, size)

    def text(self, directory: _Directory, tag: int) -> str:
        """Returns a text, up to its first NUL, without blanks around it; empty where the tag is absent or no text."""
        kind, raw = self.value(directory, tag)
        return _decoded(raw.partition(b"\0")[0]) if kind in (_ASCII, _UNDEFINED) else ""

    def comment(self, directory: _Directory) -> str:
        """Returns the user comment, which most often names its character set in 8 bytes before it."""
        kind, raw = self.value(directory, COMMENT)
        if kind not in (_BYTE, _ASCII, _UNDEFINED):
            return ""
        charset, rest = raw[:8].rstrip(b"\0 "), raw[8:]
        if charset == b"UNICODE":
            return rest.decode("utf-16-le" if self.order == "<" else "utf-16-be", "replace").replace("\ufeff", "").strip("\0 ")
        if charset == b"JIS":
            return rest.decode("iso2022_jp", "replace").strip("\0 ")
        return _decoded(rest if charset in (b"ASCII", b"") else raw)

    def _bytes(self, place: int, size: int) -> bytes:
        if place + size > len(self.data):
            raise PictureError("damaged_exif", f"the EXIF block has {len(self.data)} bytes and names byte {place + size}")
        return self.data[place : place + size]


def _decoded(raw: bytes) -> str:
    """Returns bytes as text: UTF-8, of which ASCII is a part, else Latin-1, as older cameras write it."""
    try:
        return raw.decode("utf-8").strip("\0 ")
    except UnicodeDecodeError:
        return raw.decode("latin-1").strip("\0 ")


def _grown(block: _Block, serial: str) -> bytes:
    """Returns a block with a new directory of EXIF's own tags, the serial number among them, at its end."""
    first = block.directory(block.start)
    has_own = EXIF_DIRECTORY in first.entries
    own = block.directory(block.pointer(first)) if has_own else _Directory({VERSION: _version(block.order)}, 0)
    grown = bytearray(block.data)
    text = serial.encode("ascii") + b"\0"
    value = text.ljust(4, b"\0") if len(text) <= 4 else struct.pack(block.order + "I", _append(grown, text))
    entry = struct.pack(block.order + "HHI", BODY_SERIAL, _ASCII, len(text)) + value
    place = _append(grown, _packed(_Directory({**own.entries, BODY_SERIAL: entry}, own.following), block.order))
    pointer = struct.pack(block.order + "HHII", EXIF_DIRECTORY, _LONG, 1, place)
    if has_own:
        at = block.start + 2 + _ENTRY * _position(block, first.entries[EXIF_DIRECTORY])
        grown[at : at + _ENTRY] = pointer
    else:
        moved = _append(grown, _packed(_Directory({**first.entries, EXIF_DIRECTORY: pointer}, first.following), block.order))
        struct.pack_into(block.order + "I", grown, 4, moved)
    return bytes(grown)


def _version(order: str) -> bytes:
    """Returns the entry that EXIF's own tags cannot be without."""
    return struct.pack(order + "HHI", VERSION, _UNDEFINED, 4) + b"0232"


def _position(block: _Block, entry: bytes) -> int:
    """Returns which entry of the first directory this is, counted from 0."""
    place = block.start + 2
    while block.data[place : place + _ENTRY] != entry:
        place += _ENTRY
    return (place - block.start - 2) // _ENTRY


def _append(grown: bytearray, data: bytes) -> int:
    """Adds bytes at the end, where an even offset begins, and returns it."""
    grown += bytes(len(grown) % 2)
    place = len(grown)
    grown += data
    return place


def _packed(directory: _Directory, order: str) -> bytes:
    """Returns a directory as bytes, its entries in the order of their tags."""
    entries = b"".join(entry for _, entry in sorted(directory.entries.items()))
    return struct.pack(order + "H", len(directory.entries)) + entries + struct.pack(order + "I", directory.following)
