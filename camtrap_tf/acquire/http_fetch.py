"""One file over HTTP(S): its size, and its bytes, from where an earlier try ended."""

from __future__ import annotations

import base64
import binascii
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from camtrap_tf import __version__
from camtrap_tf.acquire.failures import FetchError, status_error
from camtrap_tf.acquire.parts import Limits, Part

MAX_REDIRECTS = 5
_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-[0-9]{1,18}|\*)/([0-9]{1,18}|\*)")
_NO_HEAD = (400, 403, 405, 501)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What the server said of a file that has come whole.

    Attributes:
        total: its bytes, where said.
        md5: its digest in hexadecimal, where said.
    """

    total: int | None = None
    md5: str | None = None


def user_agent(contact: str) -> str:
    """Returns what we call ourselves to servers."""
    known = " ".join("".join(c for c in contact if c.isprintable() and c.isascii()).split())
    return f"camtrap_tf/{__version__}" + (f" ({known})" if known else "")


class HttpFetcher:
    """Connections to HTTP servers, kept open between files."""

    def __init__(self, *, connections: int, limits: Limits, contact: str) -> None:
        self._limits = limits
        self._client = httpx2.AsyncClient(
            # Compressed answers are not asked for and not unpacked: a picture does not shrink, a bomb grows.
            headers={"User-Agent": user_agent(contact), "Accept": "*/*", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(limits.timeout_s, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=connections, keepalive_expiry=30.0),
            follow_redirects=True,
            max_redirects=MAX_REDIRECTS,
            event_hooks={"response": [check_redirect]},
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()

    async def size(self, url: str) -> int | None:
        """Asks for the size of a file, in bytes; None where the server does not say.

        Raises:
            FetchError: it is not to be had.
        """
        with _translated():
            answer = await self._client.head(url)
            if answer.status_code in _NO_HEAD:
                async with self._client.stream("GET", url, headers={"Range": "bytes=0-0"}) as answer:
                    if answer.status_code == 206:
                        return _range_of(answer)[1]
        if answer.status_code != 200:
            raise status_error(answer.status_code, answer.headers.get("retry-after"))
        return _length(answer)

    async def fetch(self, part: Part) -> Arrived:
        """Brings the part to its full length.

        Raises:
            FetchError: it did not work, or what came is not what was wanted.
        """
        offset = part.usable_bytes()
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        if offset and part.validator:
            headers["If-Range"] = part.validator
        with _translated():
            async with self._client.stream("GET", part.wanted.url, headers=headers) as answer:
                return await self._take(part, answer, offset)

    async def _take(self, part: Part, answer: httpx2.Response, offset: int) -> Arrived:
        start, total = 0, _length(answer)
        if answer.status_code == 206:
            start, total = _range_of(answer)
            if start != offset:
                part.discard()
                raise FetchError("wrong_range", f"the server sent bytes from {start} on, asked for {offset}", again=True)
        elif answer.status_code == 416 and offset:
            if _range_of(answer, complete=False)[1] == offset and part.validator:
                return Arrived(offset)
            part.discard()
            raise FetchError("wrong_range", "the server does not have the rest of this file; begun anew", again=True)
        elif answer.status_code != 200:
            raise status_error(answer.status_code, answer.headers.get("retry-after"))
        encoding = answer.headers.get("content-encoding", "identity").lower()
        if encoding not in ("identity", ""):
            raise FetchError("encoded", f"the server sent it packed as {encoding[:20]!r}, which was not asked for")
        part.check_total(total)
        with part.grow(start, _validator(answer), answer.headers.get("content-type")) as growing:
            async for data in answer.aiter_raw():
                growing.write(data)
            growing.complete()
        return Arrived(total, _md5(answer))


async def check_redirect(answer: httpx2.Response) -> None:
    """Refuses to be led from https to http, where anybody on the way may change what comes."""
    following = answer.next_request
    if following is not None and answer.url.scheme == "https" and following.url.scheme == "http":
        raise FetchError("insecure_redirect", f"the server leads from https to http on {following.url.host}")


@contextmanager
def _translated() -> Iterator[None]:
    """Turns the errors of the HTTP library into ours."""
    try:
        yield
    except httpx2.TooManyRedirects as err:
        raise FetchError("redirect_loop", f"the server redirects more than {MAX_REDIRECTS} times") from err
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, UnicodeError) as err:
        raise FetchError("bad_url", f"no URL that can be fetched: {err}") from err
    except httpx2.TimeoutException as err:
        raise FetchError("timeout", f"silence for too long ({type(err).__name__})", again=True) from err
    except httpx2.ConnectError as err:
        certificate = isinstance(_cause(err, ssl.SSLCertVerificationError), ssl.SSLCertVerificationError)
        raise FetchError("no_connection", f"cannot connect: {err}", again=not certificate) from err
    except httpx2.TransportError as err:
        raise FetchError("cut_off", f"the connection broke: {err or type(err).__name__}", again=True) from err


def _cause(err: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Returns the first error of a kind among those that led to this one."""
    found: BaseException | None = err
    for _ in range(10):
        if found is None or isinstance(found, kind):
            return found
        found = found.__cause__ or found.__context__
    return None


def _length(answer: httpx2.Response) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _range_of(answer: httpx2.Response, *, complete: bool = True) -> tuple[int, int | None]:
    """Returns the first byte and the size of the whole that `Content-Range` names.

    Raises:
        FetchError: it names none, although it has to.
    """
    found = _RANGE.fullmatch(answer.headers.get("content-range", "").strip())
    if found is None or (complete and found[1] is None):
        if complete:
            raise FetchError("wrong_range", "the server sent a part of the file without saying which", again=True)
        return 0, None
    return int(found[1] or 0), None if found[2] == "*" else int(found[2])


def _validator(answer: httpx2.Response) -> str | None:
    """Returns what tells this version of the file from others, if it tells them apart byte for byte."""
    etag = str(answer.headers.get("etag", "")).strip()
    if etag.startswith('"') and len(etag) < 300:
        return etag
    changed = str(answer.headers.get("last-modified", "")).strip()
    return changed if changed and len(changed) < 60 else None


def _md5(answer: httpx2.Response) -> str | None:
    """Returns the digest of the whole file that the server names: Google's header, or Content-MD5 of a whole answer."""
    named = [part.strip() for part in answer.headers.get("x-goog-hash", "").split(",")]
    texts = [part[4:] for part in named if part.startswith("md5=")]
    if answer.status_code == 200 and "content-md5" in answer.headers:
        texts.append(answer.headers["content-md5"].strip())
    for text in texts:
        try:
            digest = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        if len(digest) == 16:
            return digest.hex()
    return None
