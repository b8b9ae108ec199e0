"""One object of S3, Google Cloud Storage or Azure, by fsspec: its size, its bytes, and what lies below a prefix.

Credentials come by the usual chain of each library; none are read here.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import fsspec
import fsspec.asyn

from camtrap_tf.acquire.failures import FetchError
from camtrap_tf.acquire.http_fetch import Arrived
from camtrap_tf.acquire.parts import Limits, Part
from camtrap_tf.errors import SettingError, SourceError

PIECE = 8 * 2**20
"""Bytes asked for at a time."""

_STORES = {"s3": ("s3", "s3fs"), "gs": ("gs", "gcsfs"), "gcs": ("gs", "gcsfs"), "az": ("az", "adlfs"), "abfs": ("az", "adlfs")}
_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How to reach object stores.

    Attributes:
        connections: objects at the same time.
        anonymous: without credentials.
        profile: of S3's credentials file.
        endpoint_url: of another service that speaks S3.
    """

    connections: int = 16
    anonymous: bool = False
    profile: str | None = None
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An object below a prefix.

    Attributes:
        url: its URL.
        key: its name below the prefix.
        size: its bytes.
    """

    url: str
    key: str
    size: int


def check_store(url: str) -> None:
    """Makes sure that what a URL of an object store needs is installed.

    Raises:
        SettingError: it is not.
    """
    scheme = urlsplit(url).scheme.lower()
    if scheme not in _STORES:
        return
    store, module = _STORES[scheme]
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as err:
        raise SettingError(f"{scheme}:// needs {module}; run: pip install 'camtrap_tf[{_EXTRAS[store]}]'") from err


class ObjectFetcher:
    """Sessions with object stores, one per kind, opened when first needed."""

    def __init__(self, options: StoreOptions, limits: Limits) -> None:
        self._options = options
        self._limits = limits
        self._stores: dict[tuple[str, str | None], Any] = {}
        self._sessions: list[Any] = []
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Ends the sessions."""
        for session in self._sessions:
            await session.close()

    async def size(self, url: str) -> int | None:
        """Asks for the size of an object, in bytes.

        Raises:
            FetchError: it is not to be had.
        """
        info = await self._info(url)
        return int(info["size"])

    async def fetch(self, part: Part) -> Arrived:
        """Brings the part to its full length.

        Raises:
            FetchError: it did not work, or what came is not what was wanted.
        """
        url = part.wanted.url
        info = await self._info(url)
        total, validator = int(info["size"]), _validator(info)
        part.check_total(total)
        offset = part.usable_bytes() if validator == part.validator else 0
        store = await self._store(url)
        with part.grow(offset, validator, info.get("ContentType")) as growing:
            while growing.size < total:
                with _translated():
                    data = await asyncio.wait_for(
                        store._cat_file(store._strip_protocol(url), start=growing.size, end=min(total, growing.size + PIECE)),
                        self._limits.timeout_s + PIECE / 20_000,
                    )
                if not data:
                    raise FetchError("cut_off", f"the object ended after {growing.size} of {total} bytes", again=True)
                growing.write(data)
            growing.complete()
        return Arrived(total)

    async def below(self, prefix: str) -> AsyncIterator[Listed]:
        """Yields the objects below a prefix, taken as a folder; on S3 a thousand are held at a time, elsewhere one folder.

        Raises:
            SourceError: the bucket cannot be read.
        """
        prefix = prefix.rstrip("/")
        try:
            store = await self._store(prefix)
            with _translated():
                name = store._strip_protocol(prefix)
                async for info in _listing(store, name):
                    full = str(info["name"])
                    if info["type"] == "file" and not full.endswith("/"):
                        key = full.removeprefix(f"{name}/")
                        yield Listed(f"{prefix}/{key}", key, int(info["size"]))
        except FetchError as err:
            raise SourceError(f"{prefix}: cannot be listed: {err.detail}") from err

    async def _info(self, url: str) -> dict[str, Any]:
        store = await self._store(url)
        with _translated():
            info: dict[str, Any] = await asyncio.wait_for(store._info(store._strip_protocol(url)), self._limits.timeout_s)
        if info.get("type") != "file":
            raise FetchError("not_found", "there is no object of this name, only others below it")
        return info

    async def _store(self, url: str) -> Any:
        """Returns the store of a URL; Azure has one for each account, which a URL may name."""
        check_store(url)
        kind = _STORES[urlsplit(url).scheme.lower()][0]
        account = {}
        if kind == "az":
            named = fsspec.get_filesystem_class(kind)._get_kwargs_from_urls(url)
            account = {key: value for key, value in named.items() if key == "account_name"}
        name = (kind, account.get("account_name"))
        async with self._opening:
            if name not in self._stores:
                with _translated():
                    store = fsspec.filesystem(
                        kind,
                        asynchronous=True,
                        skip_instance_cache=True,
                        use_listings_cache=False,
                        **self._arguments(kind),
                        **account,
                    )
                    if hasattr(store, "set_session"):
                        self._sessions.append(await store.set_session())
                    if hasattr(store, "service_client"):
                        self._sessions.append(store.service_client)
                if kind == "s3":
                    store.retries = 2  # of listings; of files tries are counted, and pauses made, in the engine
                self._stores[name] = store
        return self._stores[name]

    def _arguments(self, kind: str) -> dict[str, Any]:
        options = self._options
        if kind == "gs":
            return {"token": "anon"} if options.anonymous else {}
        if kind == "az":
            # adlfs closes its client once more when Python ends, on the loop named here; that of the download is gone by then.
            return {"anon": options.anonymous, "loop": fsspec.asyn.get_loop()}
        config = {
            "max_pool_connections": options.connections,
            "read_timeout": self._limits.timeout_s,
            "retries": {"max_attempts": 1},
        }
        found: dict[str, Any] = {"anon": options.anonymous, "config_kwargs": config}
        if options.profile:
            found["profile"] = options.profile
        if options.endpoint_url:
            found["endpoint_url"] = options.endpoint_url
        return found


async def _listing(store: Any, name: str) -> AsyncIterator[dict[str, Any]]:
    """Yields what lies below a folder of a store, as the store describes it."""
    if hasattr(store, "_iterdir"):
        bucket, _, key = name.partition("/")
        async for info in store._iterdir(bucket, prefix=f"{key}/" if key else "", delimiter=""):
            yield info
        return
    folders = [name]
    while folders:
        folder = folders.pop()
        for info in await store._ls(folder, detail=True):
            if info["type"] != "directory":
                yield info
            elif str(info["name"]).rstrip("/") != folder:
                folders.append(str(info["name"]).rstrip("/"))


def _validator(info: dict[str, Any]) -> str | None:
    for key in ("ETag", "etag", "generation", "md5Hash"):
        if info.get(key):
            return str(info[key])[:300]
    return None


@contextmanager
def _translated() -> Iterator[None]:
    """Turns whatever the libraries of object stores raise into our errors."""
    try:
        yield
    except FetchError:
        raise
    except FileNotFoundError as err:
        raise FetchError("not_found", "there is no such object or bucket") from err
    except PermissionError as err:
        raise FetchError("forbidden", f"access is denied ({err}); try --anonymous, --profile or other credentials") from err
    except TimeoutError as err:
        raise FetchError("timeout", "silence for too long", again=True) from err
    except Exception as err:
        # Each store has its own tree of errors; names are what they have in common.
        name = type(err).__name__
        if "Credential" in name or "ProfileNotFound" in name or "RefreshError" in name:
            raise FetchError("forbidden", f"no usable credentials ({err}); try --anonymous or --profile") from err
        raise FetchError(
            "object_store", f"{name}: {err}", again=not isinstance(err, (ValueError, TypeError, KeyError))
        ) from err
