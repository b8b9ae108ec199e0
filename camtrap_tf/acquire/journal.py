"""What a download folder remembers between runs: what each file was when it was complete, and what a part is the part of.

A small SQLite file, so that memory stays the same however many files there are. It is a help, not a truth: where it is
lost, sizes are asked of the server again and parts are begun anew.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.logs import logger

log = logger(__name__)

COMMIT_S = 1.0
"""Entries of this long are lost at most when the process is killed."""

_TABLES = """
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, url TEXT, size INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (path TEXT PRIMARY KEY, url TEXT, validator TEXT) WITHOUT ROWID;
CREATE TEMP TABLE claims (path TEXT PRIMARY KEY, url TEXT) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a complete file was.

    Attributes:
        url: where it came from.
        size: its bytes.
    """

    url: str
    size: int


class Journal:
    """The memory of one download folder; one process at a time, one thread."""

    def __init__(self, path: Path) -> None:
        """Opens the journal; makes a new one where there is none, or none that can be read."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._base = _open(path)
        except sqlite3.DatabaseError:
            log.info("%s: cannot be read any more; a new one is begun, and sizes are asked of the server again", path)
            path.unlink(missing_ok=True)
            self._base = _open(path)
        self._committed = time.monotonic()

    def claim(self, path: str, url: str) -> str | None:
        """Notes that this run makes `path` of `url`; returns the URL of an earlier entry of the run with that path."""
        cursor = self._base.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (path, url))
        if cursor.rowcount:
            return None
        return str(self._base.execute("SELECT url FROM claims WHERE path = ?", (path,)).fetchone()[0])

    def finished(self, path: str) -> Finished | None:
        """Returns what a file was when it was complete; None where that is not known."""
        row = self._base.execute("SELECT url, size FROM files WHERE path = ?", (path,)).fetchone()
        return None if row is None else Finished(str(row[0]), int(row[1]))

    def finish(self, path: str, url: str, size: int) -> None:
        """Notes that a file is complete."""
        self._base.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, url, size))
        self._base.execute("DELETE FROM parts WHERE path = ?", (path,))
        self._commit_now_and_then()

    def part(self, path: str, url: str) -> str | None:
        """Returns what identifies the version that a part is of; None where it is not known, or of another URL."""
        row = self._base.execute("SELECT url, validator FROM parts WHERE path = ?", (path,)).fetchone()
        return None if row is None or row[0] != url else str(row[1])

    def begin(self, path: str, url: str, validator: str | None) -> None:
        """Notes which version of a file (its ETag or time of change) a part is of."""
        if validator is None:
            self._base.execute("DELETE FROM parts WHERE path = ?", (path,))
        else:
            self._base.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", (path, url, validator))
        self._commit_now_and_then()

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self._base.commit()
        self._base.close()

    def tick(self) -> None:
        """Writes what there is to write."""
        self._base.commit()
        self._committed = time.monotonic()

    def _commit_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._committed >= COMMIT_S:
            self._base.commit()
            self._committed = now


def _open(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(path)
    # The operating system keeps what a killed process wrote; after a power cut the journal may be lost, which costs little.
    base.execute("PRAGMA synchronous = OFF")
    base.execute("PRAGMA temp_store = FILE")
    base.executescript(_TABLES)
    base.execute("SELECT path, url, size FROM files LIMIT 1")
    base.execute("SELECT path, url, validator FROM parts LIMIT 1")
    return base
