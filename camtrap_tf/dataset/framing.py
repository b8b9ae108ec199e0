"""TFRecord framing without TensorFlow: bytes in, framed records out, and back.

A record on disk is `length (uint64) · masked CRC-32C of the length · payload · masked CRC-32C of the payload`, little
endian. Source: TFRecord format, https://www.tensorflow.org/tutorials/load_data/tfrecord.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import google_crc32c
import numpy as np

from camtrap_tf.errors import DatasetError

HEADER_BYTES = 12
FOOTER_BYTES = 4
_MASK = 0xA282EAD8


def masked_crc(data: bytes) -> int:
    """Returns the masked CRC-32C that TFRecord keeps beside lengths and payloads."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """Returns `data` framed as one TFRecord record."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, struct.pack("<I", masked_crc(length)), data, struct.pack("<I", masked_crc(data))))


def scan_offsets(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns where the payloads of a shard lie, from the record headers alone.

    Returns:
        Offsets of the payloads, uint64 `[N]`, and their lengths in bytes, uint64 `[N]`.

    Raises:
        DatasetError: the file cannot be read, a header is damaged, or the file ends within a record.
    """
    offsets, lengths = array("Q"), array("Q")
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        position = 0
        while position < size:
            length = _length(os.pread(file.fileno(), HEADER_BYTES, position), path, position, size)
            offsets.append(position + HEADER_BYTES)
            lengths.append(length)
            position += HEADER_BYTES + length + FOOTER_BYTES
    return np.array(offsets, np.uint64), np.array(lengths, np.uint64)


def read_records(path: Path, *, verify: bool = True) -> Iterator[bytes]:
    """Yields the payloads of a shard, one after the other.

    Args:
        path: the shard.
        verify: check the checksum of every payload.

    Raises:
        DatasetError: the file cannot be read, or is damaged.
    """
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        position = 0
        while position < size:
            length = _length(file.read(HEADER_BYTES), path, position, size)
            data = file.read(length)
            footer = file.read(FOOTER_BYTES)
            if verify and struct.unpack("<I", footer)[0] != masked_crc(data):
                raise _damaged(path, position, "the payload does not match its checksum")
            yield data
            position += HEADER_BYTES + length + FOOTER_BYTES


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as err:
        raise DatasetError(f"{path}: cannot be read ({err.strerror})") from err


def _length(header: bytes, path: Path, position: int, size: int) -> int:
    """Returns the payload length that a record header gives, once it is known to be sound."""
    if len(header) < HEADER_BYTES:
        raise _damaged(path, position, "the file ends within a record")
    length: int
    length, crc = struct.unpack("<QI", header)
    if crc != masked_crc(header[:8]):
        raise _damaged(path, position, "the record header does not match its checksum")
    if position + HEADER_BYTES + length + FOOTER_BYTES > size:
        raise _damaged(path, position, "the file ends within a record")
    return length


def _damaged(path: Path, position: int, what: str) -> DatasetError:
    return DatasetError(f"{path}: damaged at byte {position}: {what}; copy the shard again or build the dataset again")
