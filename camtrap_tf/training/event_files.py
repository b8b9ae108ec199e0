"""TensorBoard's event files of a run: cut back where a training goes on from before their end.

A reader that is told of a restart drops what it has seen, but not every reader is; so what comes too late is taken out of
the files themselves.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from camtrap_tf.dataset.framing import frame, read_records
from camtrap_tf.errors import DatasetError
from camtrap_tf.files import write_bytes

EVENT_FILES = "*tfevents*"


def cut_events(folder: Path, epoch: int) -> None:
    """Takes events of later epochs out of all event files below a folder, with whatever a killed process left half written.

    Files in which nothing is left are removed; those in which nothing changes are not touched.

    Args:
        folder: of the event files; it need not exist.
        epoch: the last one to keep.
    """
    for file in sorted(folder.rglob(EVENT_FILES)):
        records, whole = _records(file)
        kept = [record for record in records if tf.compat.v1.Event.FromString(record).step <= epoch]
        if not any(tf.compat.v1.Event.FromString(record).HasField("summary") for record in kept):
            file.unlink()
        elif len(kept) < len(records) or not whole:
            write_bytes(file, b"".join(frame(record) for record in kept))


def _records(file: Path) -> tuple[list[bytes], bool]:
    """Returns the records of an event file up to the first damaged one, and whether there is none such."""
    records: list[bytes] = []
    try:
        for record in read_records(file):
            records.append(record)
    except DatasetError:
        return records, False
    return records, True
