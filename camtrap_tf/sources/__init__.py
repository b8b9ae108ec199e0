"""Readers of foreign formats. Each has `records()`, which yields records and rejects as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from camtrap_tf.records import CaptureEvent, Reject


class Source(Protocol):
    """What every reader offers.

    Attributes:
        unit: what it counts, e.g. `rows`.
        read: how many of them it has seen so far; each is part of a record or rejected.
        notes: sentences for the log, complete once `records` is exhausted.
    """

    unit: str
    read: int
    notes: list[str]

    def records(self) -> Iterator[CaptureEvent | Reject]:
        """Yields records with ids of their own, and what could not become one."""
        ...
