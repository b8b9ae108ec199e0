"""The unfinished file of one download: grown piece by piece, checked, and renamed into place when it is whole."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from camtrap_tf.acquire.failures import FetchError
from camtrap_tf.acquire.journal import Journal
from camtrap_tf.acquire.pictures import LEAST_BYTES, not_a_picture
from camtrap_tf.acquire.wanted import Wanted
from camtrap_tf.files import PARTIAL

LEAST_BYTES_PER_S = 200.0
"""A try that is slower than this over the time of a silence is given up: some servers send a byte now and then for ever."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a try may cost.

    Attributes:
        max_bytes: of a file.
        timeout_s: of silence.
        expect_picture: refuse what does not begin like a picture.
    """

    max_bytes: int
    timeout_s: float
    expect_picture: bool


class Part:
    """The part of a file that is here so far.

    Attributes:
        wanted: the file it becomes.
        path: where it is kept.
        validator: identifies the version it is of (ETag or time of change), where the server names one.
    """

    def __init__(self, wanted: Wanted, folder: Path, journal: Journal, limits: Limits, count: Callable[[int], None]) -> None:
        name = hashlib.sha256(wanted.path.encode()).hexdigest()[:32]
        self.wanted = wanted
        self.path = folder / PARTIAL / f"{name}.part"
        self.validator = journal.part(wanted.path, wanted.url)
        self._target = folder / wanted.path
        self._journal = journal
        self._limits = limits
        self._count = count
        self._wrong = 0

    def usable_bytes(self) -> int:
        """Returns how many bytes of it can be built upon: none where nothing would show that they are of another version."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return 0
        known = self.validator is not None or self.wanted.sha256 is not None or self.wanted.md5 is not None
        fits = size <= (self.wanted.size if self.wanted.size is not None else self._limits.max_bytes)
        return size if known and fits else 0

    def check_total(self, total: int | None) -> None:
        """Makes sure that a file of this size is wanted.

        Raises:
            FetchError: it is too large, or of another size than the list says.
        """
        if total is None:
            return
        if total > self._limits.max_bytes:
            raise FetchError("too_large", f"has {total / 1e6:.1f} MB, more than --max-file-mb {self._limits.max_bytes / 1e6:g}")
        if self.wanted.size is not None and total != self.wanted.size:
            raise FetchError("wrong_size", f"the server has {total} bytes, the list says {self.wanted.size}")

    def grow(self, offset: int, validator: str | None, content_type: str | None) -> Growing:
        """Opens it to add bytes.

        Args:
            offset: bytes that are kept; 0 begins anew.
            validator: version that the bytes to come are of.
            content_type: what the server calls it.
        """
        if offset == 0:
            self.validator = validator
            self._journal.begin(self.wanted.path, self.wanted.url, validator)
        file = self.path.open("r+b" if offset else "wb")
        file.seek(offset)
        return Growing(file, offset, content_type, self._limits, self._count)

    def verify(self, total: int | None, md5: str | None) -> None:
        """Compares what is here with what is known of the file; meant for a thread, as it reads the file.

        Args:
            total: bytes it has by the server.
            md5: its digest by the server.

        Raises:
            FetchError: it differs; the part is removed.
        """
        size = self.path.stat().st_size
        for known, whose in ((total, "the server"), (self.wanted.size, "the list")):
            if known is not None and size != known:
                raise self._spoilt("wrong_size", f"{size} bytes arrived where {whose} says {known}")
        problem = digest_problem(self.path, sha256=self.wanted.sha256, md5=self.wanted.md5)
        if problem is None and md5 is not None and self.wanted.md5 is None and self.wanted.sha256 is None:
            problem = digest_problem(self.path, md5=md5)
        if problem:
            raise self._spoilt("wrong_digest", problem)

    def _spoilt(self, reason: str, detail: str) -> FetchError:
        """Removes what is here; once more it may come right, then the server or the list is wrong."""
        self.discard()
        self._wrong += 1
        return FetchError(reason, detail, again=self._wrong < 2)

    def place(self) -> int:
        """Gives the file its name; returns its size.

        Raises:
            FetchError: its name cannot be taken.
        """
        size = self.path.stat().st_size
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path, self._target)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as err:
            raise FetchError("bad_path", f"another file or folder has this name or that of one of its folders: {err}") from err
        self._journal.finish(self.wanted.path, self.wanted.url, size)
        return size

    def discard(self) -> None:
        """Removes what is here."""
        self.path.unlink(missing_ok=True)


class Growing:
    """A part that is open for writing; a context manager.

    Attributes:
        size: bytes it has.
    """

    def __init__(
        self, file: IO[bytes], offset: int, content_type: str | None, limits: Limits, count: Callable[[int], None]
    ) -> None:
        self.size = offset
        self._file = file
        self._limits = limits
        self._count = count
        self._content_type = content_type
        self._start: bytes | None = b"" if offset == 0 and limits.expect_picture else None
        self._window_began = time.monotonic()
        self._window_bytes = 0

    def __enter__(self) -> Growing:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> None:
        """Adds bytes.

        Raises:
            FetchError: this is no picture, too large, or comes too slowly.
        """
        self._file.write(data)
        self.size += len(data)
        self._count(len(data))
        if self._start is not None:
            self._start += data[: LEAST_BYTES * 8]
            if len(self._start) >= LEAST_BYTES * 4:
                self._check_start()
        if self.size > self._limits.max_bytes:
            raise FetchError("too_large", f"has more than --max-file-mb {self._limits.max_bytes / 1e6:g}")
        self._check_rate(len(data))

    def complete(self) -> None:
        """Says that all bytes have come.

        Raises:
            FetchError: this is no picture.
        """
        self._check_start()

    def _check_start(self) -> None:
        if self._start is None:
            return
        problem, self._start = not_a_picture(self._start, self._content_type), None
        if problem:
            self._file.truncate(0)
            raise FetchError("not_a_picture", problem)

    def _check_rate(self, count: int) -> None:
        self._window_bytes += count
        passed = time.monotonic() - self._window_began
        if passed < self._limits.timeout_s:
            return
        if self._window_bytes < LEAST_BYTES_PER_S * passed:
            raise FetchError("too_slow", f"{self._window_bytes} bytes came in {passed:.0f} s", again=True)
        self._window_began, self._window_bytes = time.monotonic(), 0


def digest_problem(path: Path, *, sha256: str | None = None, md5: str | None = None) -> str | None:
    """Returns how the digest of a file differs from the one it should have, or None."""
    for kind, known in (("sha256", sha256), ("md5", md5)):
        if known is None:
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
        if found != known:
            return f"its {kind} is {found}, not {known}"
    return None
