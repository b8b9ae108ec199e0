"""The engine: takes a stream of wanted files, fetches many at a time, tries again, verifies, and lists what failed.

Memory stays the same however long the list is: a few files per connection are held, everything else is on disk.
"""

from __future__ import annotations

import asyncio
import csv
import os
import random
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import stamina

from camtrap_tf.acquire.existing import Standing, content_problem, standing
from camtrap_tf.acquire.failures import FetchError
from camtrap_tf.acquire.hosts import DEAD_AFTER, Host, host_of
from camtrap_tf.acquire.http_fetch import HttpFetcher
from camtrap_tf.acquire.journal import COMMIT_S, Journal
from camtrap_tf.acquire.object_fetch import ObjectFetcher, StoreOptions
from camtrap_tf.acquire.outcome import FAILED, Counts
from camtrap_tf.acquire.parts import Limits, Part
from camtrap_tf.acquire.wanted import FAILED_COLUMNS, HTTP, Wanted, safe_path, shown, url_problem
from camtrap_tf.config.download import DownloadConfig
from camtrap_tf.files import PARTIAL, locked_folder, writable_folder
from camtrap_tf.logs import logger
from camtrap_tf.progress import TransferProgress

log = logger(__name__)

FIRST_PAUSE_S, PAUSE_GROWS, LONGEST_PAUSE_S, PAUSE_JITTER_S = 0.5, 3.0, 60.0, 0.5
"""Pauses between tries where the server names none: 0.5, 1.5, 4.5, 13.5, 40.5 s, and up to half a second by chance."""

LEAST_PROGRESS = 262_144
"""Bytes by which a file has to grow over all its tries to be given as many again: large files over poor lines arrive."""

LOOK_AHEAD = 4
"""Files that wait, per connection."""

stamina.instrumentation.set_on_retry_hooks(())  # it would log every retry, and count them in the service's metrics


class Fetchers:
    """The ways to fetch, by the scheme of a URL."""

    def __init__(self, config: DownloadConfig) -> None:
        limits = limits_of(config)
        options = StoreOptions(config.connections, config.anonymous, config.profile, config.endpoint_url)
        self._http = HttpFetcher(connections=config.connections, limits=limits, contact=config.contact)
        self._objects = ObjectFetcher(options, limits)

    def of(self, url: str) -> HttpFetcher | ObjectFetcher:
        """Returns the one for a URL."""
        return self._http if url.partition(":")[0].lower() in HTTP else self._objects

    @property
    def objects(self) -> ObjectFetcher:
        """The one for object stores."""
        return self._objects

    async def close(self) -> None:
        """Ends all connections."""
        await self._http.close()
        await self._objects.close()


def limits_of(config: DownloadConfig) -> Limits:
    """Returns what a try may cost by the settings."""
    return Limits(int(config.max_file_mb * 1e6), config.timeout_s, config.expect == "pictures")


class Engine:
    """One run over one folder."""

    def __init__(
        self,
        config: DownloadConfig,
        fetchers: Fetchers,
        journal: Journal,
        progress: TransferProgress,
        write_failure: Callable[[tuple[object, ...]], object],
    ) -> None:
        """Makes an engine.

        Args:
            config: how to fetch.
            fetchers: the ways to fetch.
            journal: what is known of the folder.
            progress: shows how far it is.
            write_failure: takes a row for `failed.csv`.
        """
        self.counts = Counts()
        self._write_failure = write_failure
        self._config = config
        self._fetchers = fetchers
        self._journal = journal
        self._progress = progress
        self._limits = limits_of(config)
        self._hosts: dict[str, Host] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, wanted: AsyncIterator[Wanted]) -> None:
        """Fetches everything."""
        exhausted = False
        ticking = asyncio.create_task(self._tick())
        try:
            while True:
                while not exhausted and self._waiting() < LOOK_AHEAD * self._config.connections:
                    item = await anext(wanted, None)
                    if item is None:
                        exhausted = True
                    else:
                        await self._take(item)
                self._start_tasks()
                if not self._tasks:
                    break
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._tasks -= done
                for task in done:
                    task.result()
        finally:
            for task in (*self._tasks, ticking):
                task.cancel()
            await asyncio.gather(*self._tasks, ticking, return_exceptions=True)

    async def _tick(self) -> None:
        """Writes the journal now and then, also while nothing ends: what it says of parts lets them go on after a kill."""
        while True:
            await asyncio.sleep(COMMIT_S)
            self._journal.tick()

    def _waiting(self) -> int:
        return sum(len(host.waiting) for host in self._hosts.values())

    async def _take(self, item: Wanted) -> None:
        """Counts an entry of the list, and queues it unless it is plain at once what becomes of it."""
        self.counts.read += 1
        if self.counts.read % 64 == 0:
            await asyncio.sleep(0)  # what is under way goes on while thousands that are there already are passed over
        checked = check_entry(item)
        if isinstance(checked, FetchError):
            self._fail(item, checked)
            return
        earlier = self._journal.claim(checked.path, checked.url)
        if earlier == checked.url:
            self.counts.repeated += 1
            self._progress.advance(files=1, skipped=1)
        elif earlier is not None:
            self._fail(checked, FetchError("same_name", f"{shown(earlier)} has this name too"))
        elif self._standing(checked) is Standing.RIGHT:
            self.counts.there += 1
            self._progress.advance(files=1, skipped=1)
        else:
            self._hosts.setdefault(host_of(checked.url), Host()).waiting.append(checked)

    def _standing(self, item: Wanted) -> Standing:
        return standing(item, self._config.output_dir, self._journal, self._config.existing)

    def _start_tasks(self) -> None:
        """Starts what the limits allow, a file of each server in turn."""
        for name in [name for name, host in self._hosts.items() if not host.waiting and not host.active]:
            if time.monotonic() > self._hosts[name].closed_until and self._hosts[name].unreachable < DEAD_AFTER:
                del self._hosts[name]
        started = True
        while started:
            started = False
            for host in self._hosts.values():
                if len(self._tasks) < self._config.connections and host.waiting and host.active < self._config.per_host:
                    host.active += 1
                    self._tasks.add(asyncio.create_task(self._one(host.waiting.popleft(), host)))
                    started = True

    async def _one(self, item: Wanted, host: Host) -> None:
        """Sees to one file, and counts what became of it."""
        try:
            fetched = await self._obtain(item, host)
        except FetchError as err:
            host.unreachable = host.unreachable + 1 if err.reason == "no_connection" else 0
            self._fail(item, err)
        else:
            host.unreachable = 0
            if fetched:
                self.counts.fetched += 1
            else:
                self.counts.there += 1
            self._progress.advance(files=1, skipped=int(not fetched))
        finally:
            host.active -= 1

    async def _obtain(self, item: Wanted, host: Host) -> bool:
        """Makes sure that a file is there; returns whether it had to be fetched.

        Raises:
            FetchError: it cannot be had.
        """
        found = self._standing(item)
        target = self._config.output_dir / item.path
        if found in (Standing.ASK, Standing.ASK_OURS, Standing.COMPARE, Standing.COMPARE_OURS):
            problem = await self._difference(item, host, found, target)
            if problem is None:
                self._journal.finish(item.path, item.url, target.stat().st_size)
                return False
            if found in (Standing.ASK, Standing.COMPARE):
                found = Standing.OTHER
        if found is Standing.OTHER:
            raise FetchError("other_file", "a file of other content has this name; move it away or say --existing overwrite")
        part = Part(item, self._config.output_dir, self._journal, self._limits, self._count)
        await self._with_retries(host, lambda: self._fetch(part), part.usable_bytes)
        return True

    async def _difference(self, item: Wanted, host: Host, found: Standing, target: Path) -> str | None:
        if found in (Standing.COMPARE, Standing.COMPARE_OURS):
            return await asyncio.to_thread(content_problem, target, item)
        sizes: list[int | None] = []

        async def ask() -> None:
            """Asks the server for the size."""
            sizes.append(await self._fetchers.of(item.url).size(item.url))

        await self._with_retries(host, ask, lambda: 0)
        here = target.stat().st_size
        return None if sizes[-1] in (None, here) else f"{here} bytes here, {sizes[-1]} at the server"

    async def _with_retries(self, host: Host, work: Callable[[], object], grown: Callable[[], int]) -> None:
        """Does some work, again after a pause where that may help.

        Args:
            host: the server; all its files wait where it asks for a pause.
            work: returns what to await.
            grown: how many bytes are there so far.

        Raises:
            FetchError: of the last try.
        """
        while True:
            before = grown()
            attempts = stamina.retry_context(
                on=lambda err: self._pause(err, host),
                attempts=host.attempts(self._config.attempts),
                timeout=None,
                wait_initial=FIRST_PAUSE_S,
                wait_exp_base=PAUSE_GROWS,
                wait_max=LONGEST_PAUSE_S,
                wait_jitter=PAUSE_JITTER_S,
            )
            try:
                async for attempt in attempts:
                    with attempt:
                        await host.open()
                        await work()  # type: ignore[misc]  # the two kinds of work are coroutines of different results
                return
            except FetchError as err:
                if not err.again or err.wait_s is not None or grown() < before + LEAST_PROGRESS:
                    raise

    def _pause(self, err: Exception, host: Host) -> bool | float:
        """Says whether another try may help, and where the server asks for a pause, how long it is, in s."""
        if not isinstance(err, FetchError) or not err.again:
            return False
        if err.wait_s is None:
            return True
        if err.wait_s > self._config.max_wait_s:
            return False
        host.close_for(err.wait_s)
        return err.wait_s + random.uniform(0, min(1.0, err.wait_s / 4))

    async def _fetch(self, part: Part) -> None:
        arrived = await self._fetchers.of(part.wanted.url).fetch(part)
        known = (part.wanted.sha256, part.wanted.md5, arrived.md5)
        if any(known):
            await asyncio.to_thread(part.verify, arrived.total, arrived.md5)
        else:
            part.verify(arrived.total, None)
        part.place()

    def _count(self, count: int) -> None:
        self.counts.bytes += count
        self._progress.advance(count=count)

    def _fail(self, item: Wanted, err: FetchError) -> None:
        self.counts.reasons[err.reason] += 1
        self._write_failure(item.row(err.reason, " ".join(err.detail.split())[:500]))
        self._progress.advance(files=1, failed=1)


def check_entry(item: Wanted) -> Wanted | FetchError:
    """Returns an entry with its path in plain form, or why it cannot be fetched."""
    problem = url_problem(item.url)
    if problem:
        return FetchError("bad_url", problem)
    try:
        path = safe_path(item.path)
    except ValueError as err:
        leads_out = ".." in item.path.replace("\\", "/").split("/")
        return FetchError("outside_root" if leads_out else "bad_path", str(err))
    return Wanted(url=item.url, path=path, id=item.id, size=item.size, sha256=item.sha256, md5=item.md5)


async def as_stream(items: Iterable[Wanted] | AsyncIterable[Wanted]) -> AsyncIterator[Wanted]:
    """Yields items of either kind of stream."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


def download(
    wanted: Callable[[Fetchers], Iterable[Wanted] | AsyncIterable[Wanted]], config: DownloadConfig, *, total: int | None
) -> Counts:
    """Fetches files into the output folder; what failed is listed in its `failed.csv`.

    Args:
        wanted: returns what to fetch, given the ways to fetch (a listing of a bucket needs one).
        config: how.
        total: how many there are, if known.

    Returns:
        What became of them.

    Raises:
        SettingError: the folder cannot be written to, or an extra is not installed.
        RunLockedError: another download works in this folder.
    """
    folder = writable_folder(config.output_dir, "--output-dir")
    with ExitStack() as stack:
        stack.enter_context(locked_folder(folder / PARTIAL))
        journal = Journal(folder / PARTIAL / "journal.sqlite")
        stack.callback(journal.close)
        failed = folder / PARTIAL / FAILED
        file = stack.enter_context(failed.open("w", encoding="utf-8", errors="replace", newline=""))
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FAILED_COLUMNS)
        progress = stack.enter_context(TransferProgress(total=total, description="Fetching"))
        started = time.monotonic()
        counts = asyncio.run(_run(wanted, config, journal, progress, writer.writerow))
        counts.seconds = max(1e-3, time.monotonic() - started)
        file.flush()
        if counts.failed:
            os.replace(failed, folder / FAILED)
        else:
            failed.unlink()
            (folder / FAILED).unlink(missing_ok=True)
    _tidy(folder, complete=not counts.failed)
    return counts


async def _run(
    wanted: Callable[[Fetchers], Iterable[Wanted] | AsyncIterable[Wanted]],
    config: DownloadConfig,
    journal: Journal,
    progress: TransferProgress,
    write_failure: Callable[[tuple[object, ...]], object],
) -> Counts:
    async with AsyncExitStack() as stack:
        fetchers = Fetchers(config)
        stack.push_async_callback(fetchers.close)
        engine = Engine(config, fetchers, journal, progress, write_failure)
        await engine.run(as_stream(wanted(fetchers)))
        return engine.counts


def _tidy(folder: Path, *, complete: bool) -> None:
    """Removes parts that nothing will go on with, once everything is there."""
    if complete:
        for part in (folder / PARTIAL).glob("*.part"):
            part.unlink(missing_ok=True)
