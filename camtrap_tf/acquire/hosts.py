"""Servers: how many files each gives at a time, when it asked to be left alone, and whether it answers at all."""

from __future__ import annotations

import asyncio
import collections
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from camtrap_tf.acquire.wanted import Wanted

DEAD_AFTER = 5
"""So many files in a row that could not be connected for, and further ones get one try each."""


def host_of(url: str) -> str:
    """Returns what shares a limit: server and port, or the bucket of an object store."""
    parts = urlsplit(url)
    return f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2].lower()}"


@dataclass(slots=True)
class Host:
    """One server.

    Attributes:
        waiting: files to fetch from it, in order.
        active: files that are being fetched.
        closed_until: time (monotonic, s) before which it asked not to be asked.
        unreachable: files in a row that could not be connected for.
    """

    waiting: collections.deque[Wanted] = field(default_factory=collections.deque)
    active: int = 0
    closed_until: float = 0.0
    unreachable: int = 0

    def close_for(self, seconds: float) -> None:
        """Notes that the server asked to be left alone."""
        self.closed_until = max(self.closed_until, time.monotonic() + seconds)

    async def open(self) -> None:
        """Waits until it may be asked again."""
        while (left := self.closed_until - time.monotonic()) > 0:
            await asyncio.sleep(left)

    def attempts(self, wished: int) -> int:
        """Returns how many tries a file gets."""
        return 1 if self.unreachable >= DEAD_AFTER else wished
