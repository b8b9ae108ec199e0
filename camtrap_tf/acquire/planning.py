"""Dry runs: how many files and bytes there are to fetch. Nothing is written."""

from __future__ import annotations

import asyncio
import collections
import random
import tempfile
from collections.abc import AsyncIterable, Callable, Iterable
from pathlib import Path

from camtrap_tf.acquire.engine import Fetchers, as_stream, check_entry
from camtrap_tf.acquire.existing import Standing, standing
from camtrap_tf.acquire.failures import FetchError
from camtrap_tf.acquire.journal import Journal
from camtrap_tf.acquire.outcome import Counts, Plan
from camtrap_tf.acquire.wanted import Wanted
from camtrap_tf.config.download import DownloadConfig
from camtrap_tf.files import PARTIAL

MOST_ASKED = 200
"""Files whose size is asked of the server; a sample where more are not known."""


def plan(wanted: Callable[[Fetchers], Iterable[Wanted] | AsyncIterable[Wanted]], config: DownloadConfig) -> Plan:
    """Finds out what a download would fetch: entries are checked, sizes that the list does not name are asked of the server.

    Args:
        wanted: returns what to fetch, as for `engine.download`.
        config: the settings of the download.
    """
    with tempfile.TemporaryDirectory(prefix="camtrap-plan-") as scratch:
        journal = Journal(_copy(config.output_dir / PARTIAL / "journal.sqlite", Path(scratch)))
        try:
            return asyncio.run(_plan(wanted, config, journal))
        finally:
            journal.close()


def _copy(journal: Path, folder: Path) -> Path:
    copy = folder / "journal.sqlite"
    if journal.is_file():
        copy.write_bytes(journal.read_bytes())
    return copy


async def _plan(
    wanted: Callable[[Fetchers], Iterable[Wanted] | AsyncIterable[Wanted]], config: DownloadConfig, journal: Journal
) -> Plan:
    fetchers = Fetchers(config)
    counts, known, unknown = Counts(), 0, 0
    sample: list[Wanted] = []
    choose = random.Random(0)
    try:
        async for item in as_stream(wanted(fetchers)):
            counts.read += 1
            checked = check_entry(item)
            if isinstance(checked, FetchError):
                counts.reasons[checked.reason] += 1
                continue
            earlier = journal.claim(checked.path, checked.url)
            if earlier is not None:
                counts.repeated += earlier == checked.url
                counts.reasons.update(["same_name"] if earlier != checked.url else [])
                continue
            found = standing(checked, config.output_dir, journal, config.existing)
            if found is Standing.OTHER:
                counts.reasons["other_file"] += 1
            elif found is not Standing.ABSENT:
                counts.there += 1
            else:
                counts.fetched += 1
                known += checked.size or 0
                if checked.size is None:
                    unknown += 1
                    _keep(sample, checked, unknown, choose)
        asked, refused = await _ask(fetchers, sample, config)
    finally:
        await fetchers.close()
    return Plan(counts, known, unknown, len(sample), asked, refused)


def _keep(sample: list[Wanted], item: Wanted, seen: int, choose: random.Random) -> None:
    """Keeps a sample of a stream in which every entry is as likely (reservoir sampling)."""
    if len(sample) < MOST_ASKED:
        sample.append(item)
    elif (place := choose.randrange(seen)) < MOST_ASKED:
        sample[place] = item


async def _ask(fetchers: Fetchers, sample: list[Wanted], config: DownloadConfig) -> tuple[int, collections.Counter[str]]:
    """Returns the sizes of files together, in bytes, and why others are not to be had."""
    gate = asyncio.Semaphore(min(config.connections, config.per_host))
    refused: collections.Counter[str] = collections.Counter()

    async def ask(item: Wanted) -> int:
        """Asks for one size."""
        async with gate:
            try:
                size = await fetchers.of(item.url).size(item.url)
            except FetchError as err:
                refused[err.reason] += 1
                return 0
        if size is None:
            refused["no_size_named"] += 1
        return size or 0

    return sum(await asyncio.gather(*map(ask, sample))), refused
