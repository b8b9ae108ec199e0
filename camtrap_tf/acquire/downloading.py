"""The commands that need nothing but a list: `download urls` and `download s3`; and what all download commands share."""

from __future__ import annotations

import fnmatch
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from urllib.parse import urlsplit

from camtrap_tf.acquire.engine import Fetchers, download
from camtrap_tf.acquire.object_fetch import check_store
from camtrap_tf.acquire.outcome import Downloaded
from camtrap_tf.acquire.planning import plan
from camtrap_tf.acquire.wanted import (
    HTTP,
    OBJECT_STORES,
    PICTURE_SUFFIX,
    Wanted,
    count_list,
    is_url,
    join_url,
    read_list,
    url_problem,
)
from camtrap_tf.config.download import DownloadConfig, ObjectsDownloadConfig, UrlsDownloadConfig
from camtrap_tf.errors import SettingError, SourceError


def download_urls(config: UrlsDownloadConfig) -> Downloaded:
    """Fetches a list of URLs.

    Raises:
        SettingError: no list is named, or the folder cannot be written to.
        SourceError: the list cannot be read.
    """
    if config.path is None and config.retry is None:
        raise SettingError("--path or --retry is needed: the list of URLs, or failed.csv of an earlier run")
    if config.base_url is not None:
        check_base(config.base_url)
    path = config.path
    total = count_list(path) if path is not None and config.retry is None else None
    suffix = PICTURE_SUFFIX if config.expect == "pictures" else ""

    def entries(_: Fetchers) -> Iterable[Wanted]:
        """Yields the entries of the list."""
        return read_list(path, config.base_url, suffix=suffix) if path is not None else ()

    return fetch(entries, config, source=str(path), total=total)


def download_objects(config: ObjectsDownloadConfig) -> Downloaded:
    """Fetches what lies below a prefix of an object store.

    Raises:
        SettingError: it is no prefix of an object store, or what it needs is not installed.
        SourceError: it cannot be listed, or nothing lies below it.
    """
    parts = urlsplit(config.path)
    if parts.scheme.lower() not in OBJECT_STORES or not parts.netloc:
        raise SettingError(f"--path {config.path}: write s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")
    check_store(config.path)

    async def listed(fetchers: Fetchers) -> AsyncIterator[Wanted]:
        """Yields the objects below the prefix."""
        count = 0
        async for one in fetchers.objects.below(config.path):
            count += 1
            if not config.include or any(fnmatch.fnmatch(one.key, pattern) for pattern in config.include):
                yield Wanted(url=one.url, path=one.key, size=one.size)
        if not count:
            raise SourceError(f"{config.path}: nothing lies below it; a single object goes into a list for `download urls`")

    return fetch(listed, config, source=config.path, total=None)


def fetch(
    wanted: Callable[[Fetchers], Iterable[Wanted] | AsyncIterable[Wanted]],
    config: DownloadConfig,
    *,
    source: str,
    total: int | None,
    notes: tuple[str, ...] = (),
) -> Downloaded:
    """Fetches a stream of files, or says what would be fetched; with `--retry`, the entries of that file instead.

    Args:
        wanted: returns what to fetch.
        config: how.
        source: names the list in the summary.
        total: how many there are, if known.
        notes: sentences for the summary.
    """
    retry = config.retry
    if retry is not None:
        source, total = str(retry), count_list(retry)

    def entries(fetchers: Fetchers) -> Iterable[Wanted] | AsyncIterable[Wanted]:
        """Returns what to fetch: all of it, or what failed."""
        return wanted(fetchers) if retry is None else read_list(retry)

    if config.dry_run:
        planned = plan(entries, config)
        return Downloaded(source, config.output_dir, planned.counts, config.max_failed_share, planned, notes)
    counts = download(entries, config, total=total)
    return Downloaded(source, config.output_dir, counts, config.max_failed_share, None, notes)


def check_base(base_url: str, flag: str = "--base-url") -> None:
    """Makes sure that something can be fetched below a URL.

    Args:
        base_url: the URL.
        flag: where it comes from, for the message.

    Raises:
        SettingError: its scheme is none of ours, it names no server, or what it needs is not installed.
    """
    problem = url_problem(base_url) if is_url(base_url) else f"it does not begin with {', '.join(HTTP + OBJECT_STORES)} and ://"
    if problem:
        raise SettingError(f"{flag} {base_url}: {problem}")
    check_store(base_url)


def joined(base_url: str | None, key: str) -> str:
    """Returns the URL of a key: itself where it is a URL, else below the base."""
    return key if is_url(key) or base_url is None else join_url(base_url, key)
