"""Framing of records, against TensorFlow's own reader and writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.dataset.framing import frame, masked_crc, read_records, scan_offsets
from camtrap_tf.errors import DatasetError

PAYLOADS = [b"", b"a", b"two words", bytes(range(256)) * 50]


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard of four records."""
    path = tmp_path / "train_001-of-001.tfrecord"
    path.write_bytes(b"".join(map(frame, PAYLOADS)))
    return path


def test_tensorflow_reads_what_we_frame(shard: Path) -> None:
    """TFRecordDataset, which checks checksums, gives the payloads back."""
    assert [item.numpy() for item in tf.data.TFRecordDataset(str(shard))] == PAYLOADS


def test_we_read_what_tensorflow_frames(tmp_path: Path) -> None:
    """Files of TFRecordWriter are equal to ours byte by byte, and read back."""
    path = tmp_path / "x.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for payload in PAYLOADS:
            writer.write(payload)
    assert path.read_bytes() == b"".join(map(frame, PAYLOADS))
    assert list(read_records(path)) == PAYLOADS


def test_offsets_point_at_payloads(shard: Path) -> None:
    """Cutting the file at the offsets gives the payloads."""
    offsets, lengths = scan_offsets(shard)
    assert offsets.dtype == np.uint64
    assert lengths.dtype == np.uint64
    data = shard.read_bytes()
    assert [data[int(o) : int(o) + int(n)] for o, n in zip(offsets, lengths, strict=True)] == PAYLOADS


def test_an_empty_shard_has_no_records(tmp_path: Path) -> None:
    """A file of zero bytes is a shard without records, as for TensorFlow."""
    path = tmp_path / "empty.tfrecord"
    path.write_bytes(b"")
    assert list(read_records(path)) == []
    assert len(scan_offsets(path)[0]) == 0


def test_crc_has_the_value_of_the_standard() -> None:
    """CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4); masked as TFRecord does by hand."""
    crc = 0x8A9136AA
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    assert masked_crc(bytes(32)) == (rotated + 0xA282EAD8) % 2**32


@pytest.mark.parametrize("cut", [1, 5, 12, 15])
def test_a_cut_file_is_damaged(shard: Path, cut: int) -> None:
    """A file that ends within a record is named as damaged, by the scan too."""
    data = shard.read_bytes()
    shard.write_bytes(data[:-cut])
    with pytest.raises(DatasetError, match=f"{shard.name}: damaged at byte"):
        list(read_records(shard))
    with pytest.raises(DatasetError, match="ends within a record"):
        scan_offsets(shard)


def test_a_flipped_header_bit_is_damage(shard: Path) -> None:
    """A changed length does not send the reader astray."""
    data = bytearray(shard.read_bytes())
    data[16] ^= 0x40
    shard.write_bytes(bytes(data))
    with pytest.raises(DatasetError, match="damaged at byte 16: the record header"):
        scan_offsets(shard)


def test_a_flipped_payload_bit_is_found_when_verifying(shard: Path) -> None:
    """Checksums of payloads are checked, unless told otherwise."""
    data = bytearray(shard.read_bytes())
    data[-100] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(DatasetError, match="payload does not match"):
        list(read_records(shard))
    assert len(list(read_records(shard, verify=False))) == len(PAYLOADS)


def test_an_absent_shard_is_one_line(tmp_path: Path) -> None:
    """A missing file is a DatasetError with its name."""
    with pytest.raises(DatasetError, match=r"gone\.tfrecord: cannot be read"):
        scan_offsets(tmp_path / "gone.tfrecord")
