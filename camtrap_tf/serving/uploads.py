"""Requests, multipart or whole, read as they stream in and given up as soon as they are too large, too many or too slow.

What a client says about its request (`Content-Length`, file names, content types) is trusted in nothing: bytes and
parts are counted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from camtrap_tf.config.delivery import ServeConfig
from camtrap_tf.errors import suggestion
from camtrap_tf.serving.refusals import RefusedError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PICTURE_FIELDS = ("image", "images")
TEXT_FIELDS = ("label", "nb_results", "info", "lang")

MAX_TEXT_BYTES = 1000
"""A text field may be this long."""

DRAIN_S = 2.0
"""How long the rest of a refused upload is read and thrown away, so that the client gets to read why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a client may ask for.

    Attributes:
        max_bytes: of a whole request.
        max_images: pictures per request.
        max_pixels: per picture.
        upload_s: seconds in which a request must have arrived.
        max_waiting: requests that are received or answered at the same time; more are sent away with 503.
    """

    max_bytes: int = 50_000_000
    max_images: int = 20
    max_pixels: int = 100_000_000
    upload_s: float = 60.0
    max_waiting: int = 32

    @classmethod
    def from_config(cls, config: ServeConfig) -> Limits:
        """Returns the limits that the settings of the service ask for."""
        return cls(max_bytes=config.max_upload_mb * 1_000_000, max_images=config.max_images, max_pixels=config.max_pixels)


@dataclass(frozen=True, slots=True)
class Form:
    """A request that has arrived.

    Attributes:
        pictures: encoded pictures, in the order they were sent.
        texts: the other fields.
    """

    pictures: tuple[bytes, ...]
    texts: dict[str, str]


async def read_form(request: Request, limits: Limits) -> Form:
    """Reads a multipart request with pictures and text fields.

    Raises:
        RefusedError: it is no multipart form, broken, over a limit, too slow, or holds no picture or an unknown field.
    """
    async with _arriving(request, limits) as body:
        form = await _parse(request, body, limits)
    if not form.pictures:
        raise RefusedError(400, "no_image", "the request holds no picture; send one or more as form field 'image'")
    return form


async def read_whole(request: Request, limits: Limits) -> bytes:
    """Reads the body of a request that is no form.

    Raises:
        RefusedError: it is a multipart form, over the limit, or too slow.
    """
    async with _arriving(request, limits) as body:
        content_type, _ = parse_options_header(request.headers.get("content-type"))
        if content_type == b"multipart/form-data":
            raise RefusedError(415, "no_json", "send one picture in base 64 as JSON here; forms go to POST /identify")
        return b"".join([chunk async for chunk in body.chunks()])


@asynccontextmanager
async def _arriving(request: Request, limits: Limits) -> AsyncIterator[_Body]:
    """Gives the body of a request, to be read in the block.

    Raises:
        RefusedError: it is too slow, or as the block raised; so is whatever else goes wrong on the way.
    """
    body = _Body(request, limits.max_bytes)
    try:
        async with asyncio.timeout(limits.upload_s):
            declared = request.headers.get("content-length", "")
            if declared.isdecimal() and int(declared) > limits.max_bytes:
                # A client that asks first (`Expect: 100-continue`) has sent nothing yet, and need not.
                body.finished = "expect" in request.headers
                raise _too_large(limits.max_bytes)
            yield body
    except TimeoutError as err:
        raise RefusedError(408, "too_slow", f"the request did not arrive within {limits.upload_s:g} s") from err
    except ClientDisconnect as err:
        raise RefusedError(400, "disconnected", "the client went away before its request had arrived") from err
    except FormParserError as err:
        await body.drain()
        raise RefusedError(400, "broken_form", f"the request is not a well-formed multipart form: {err}") from err
    except RefusedError:
        await body.drain()
        raise


async def _parse(request: Request, body: _Body, limits: Limits) -> Form:
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != b"multipart/form-data":
        raise RefusedError(
            415, "no_form", "send pictures as multipart/form-data, field 'image'; e.g. curl -F image=@picture.jpg …"
        )
    if not options.get(b"boundary"):
        raise RefusedError(400, "broken_form", "the request is not a well-formed multipart form: it names no boundary")
    parts = _Parts(limits)
    parser = MultipartParser(options[b"boundary"], parts.callbacks())
    async for chunk in body.chunks():
        parser.write(chunk)
    if not parts.complete:
        raise RefusedError(400, "broken_form", "the request ends before its multipart form does")
    return Form(pictures=tuple(parts.pictures), texts=parts.texts)


def _too_large(max_bytes: int) -> RefusedError:
    return RefusedError(413, "too_large", f"the request is larger than {max_bytes:,} bytes; send fewer or smaller pictures")


class _Body:
    """The bytes of a request, counted while they come in."""

    def __init__(self, request: Request, max_bytes: int) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self.finished = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yields the body piece by piece.

        Raises:
            RefusedError: it is larger than allowed.
            ClientDisconnect: the client is gone.
        """
        received = 0
        while not self.finished:
            message = await self._request.receive()
            if message["type"] == "http.disconnect":
                self.finished = True
                raise ClientDisconnect
            self.finished = not message.get("more_body", False)
            chunk = message.get("body", b"")
            received += len(chunk)
            if received > self._max_bytes:
                raise _too_large(self._max_bytes)
            yield chunk

    async def drain(self) -> None:
        """Throws the rest of the body away, for a while: a client that still sends does not read the reply."""
        try:
            async with asyncio.timeout(DRAIN_S):
                while not self.finished:
                    message = await self._request.receive()
                    self.finished = message["type"] != "http.request" or not message.get("more_body", False)
        except TimeoutError:
            pass


@dataclass(slots=True)
class _Parts:
    """What the multipart parser has found so far; refuses a part as soon as it is one too many or too long."""

    limits: Limits
    pictures: list[bytes] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    complete: bool = False
    _name: str = ""
    _header: bytes = b""
    _value: bytes = b""
    _data: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> MultipartCallbacks:
        """Returns the functions that the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._name, self._header, self._value, self._data = "", b"", b"", bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        name = self._name
        if name in PICTURE_FIELDS:
            if len(self.pictures) == self.limits.max_images:
                raise RefusedError(
                    413, "too_many_images", f"more than {self.limits.max_images} pictures in a request; send them in several"
                )
        elif name not in TEXT_FIELDS:
            shown = name if len(name) <= 80 else name[:80] + "…"
            raise RefusedError(
                422, "unknown_field", f"unknown field {shown!r}{suggestion(name[:80], PICTURE_FIELDS + TEXT_FIELDS)}"
            )
        elif name in self.texts:
            raise RefusedError(422, "repeated_field", f"field {name!r} is there twice; give it once")

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name not in PICTURE_FIELDS and len(self._data) + end - start > MAX_TEXT_BYTES:
            raise RefusedError(413, "too_large", f"field {self._name!r} is longer than {MAX_TEXT_BYTES} bytes")
        self._data += memoryview(data)[start:end]

    def _part_end(self) -> None:
        if self._name in PICTURE_FIELDS:
            self.pictures.append(bytes(self._data))
        else:
            self.texts[self._name] = self._data.decode("utf-8", "replace").strip()
        self._data = bytearray()

    def _end(self) -> None:
        self.complete = True
