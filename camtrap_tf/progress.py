"""Progress on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
PLAIN_INTERVAL_S = 10.0
KNOWN_FROM_ITEMS = 10
KNOWN_FROM_S = 20.0
"""What is left is told once so many items are done and so much time has gone: the first items take longer than the rest."""


def track(items: Iterable[Item], *, total: int | None, description: str, unit: str = "items") -> Iterator[Item]:
    """Passes `items` through and shows how far along they are.

    Args:
        items: what to go through.
        total: how many there will be, if known.
        description: what is being done, e.g. `Writing shards`.
        unit: what is counted.

    Yields:
        The items, in order.
    """
    shown = _live(items, total, description, unit) if sys.stderr.isatty() else _plain(items, total, description, unit)
    yield from shown


def _live(items: Iterable[Item], total: int | None, description: str, unit: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=total)
        for item in items:
            yield item
            bar.advance(task)


def _plain(items: Iterable[Item], total: int | None, description: str, unit: str) -> Iterator[Item]:
    started = last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= PLAIN_INTERVAL_S:
            last = now
            left = ""
            if total and done >= KNOWN_FROM_ITEMS and now - started >= KNOWN_FROM_S:
                left = f", about {(now - started) / done * (total - done):.0f} s left"
            print(f"{description}: {done}{f' of {total}' if total else ''} {unit}{left}", file=sys.stderr, flush=True)


class TransferProgress:
    """Shows how far a transfer is: files, bytes, rate, time left. A context manager.

    Args:
        total: files there will be, if known.
        description: what is being done, e.g. `Fetching`.
    """

    def __init__(self, *, total: int | None, description: str) -> None:
        self._total = total
        self._description = description
        self._files = self._skipped = self._failed = self._bytes = 0
        self._began = self._shown = time.monotonic()
        self._bar: Any = None
        self._interval_s = PLAIN_INTERVAL_S

    def __enter__(self) -> TransferProgress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._bar.add_task(self._description, total=self._total, rate="files")
            self._interval_s = 0.2
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, *, files: int = 0, skipped: int = 0, failed: int = 0, count: int = 0) -> None:
        """Counts what has come.

        Args:
            files: files that are done with.
            skipped: of these, how many took no time.
            failed: of these, how many did not come.
            count: bytes.
        """
        self._files += files
        self._skipped += skipped
        self._failed += failed
        self._bytes += count
        now = time.monotonic()
        if now - self._shown >= self._interval_s:
            self._shown = now
            self._show(now - self._began)

    def _show(self, passed_s: float) -> None:
        failed = f" ({self._failed} failed)" if self._failed else ""
        text = f"files{failed}, {amount(self._bytes)}, {amount(self._bytes / passed_s)}/s"
        fetched = self._files - self._skipped
        if self._total and fetched:
            text += f", about {passed_s / fetched * (self._total - self._files):.0f} s left"
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=self._files, rate=text)
            return
        of = f" of {self._total}" if self._total else ""
        print(f"{self._description}: {self._files}{of} {text}", file=sys.stderr, flush=True)


def amount(count: float) -> str:
    """Returns a number of bytes for a person, e.g. `2.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
