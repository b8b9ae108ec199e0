"""Progress on stderr: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

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
