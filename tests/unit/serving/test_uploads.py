"""Multipart requests read straight from ASGI messages."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request

from camtrap_tf.serving.refusals import RefusedError
from camtrap_tf.serving.uploads import Form, Limits, read_form
from tests.unit.serving.support import HEADERS, body, part


class Client:
    """Sends a body in pieces; then says nothing, goes away, or sends on for ever."""

    def __init__(self, pieces: list[bytes], *, then: str = "end", headers: dict[str, str] | None = None) -> None:
        self.pieces = list(pieces)
        self.then = then
        self.taken = 0
        sent = {**HEADERS, **(headers or {})}
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": "/identify",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }

    async def receive(self) -> dict[str, object]:
        """Gives the next ASGI message."""
        self.taken += 1
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or self.then != "end"}
        if self.then == "leave":
            return {"type": "http.disconnect"}
        if self.then == "endless":
            await asyncio.sleep(0)
            return {"type": "http.request", "body": b"x" * 1000, "more_body": True}
        await asyncio.sleep(60)
        raise AssertionError("read past the end of the request")

    def read(self, limits: Limits) -> Form:
        """Reads the form as the service does."""
        return asyncio.run(read_form(Request(self.scope, self.receive), limits))

    def refusal(self, limits: Limits) -> RefusedError:
        """Returns why the service refuses."""
        with pytest.raises(RefusedError) as caught:
            self.read(limits)
        return caught.value


WHOLE = body(part("image", b"one\r\n--two", filename="ä.jpg"), part("nb_results", b" 3 "), part("images", b"\0\xff"))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_forms_are_read_however_they_are_cut(size: int) -> None:
    """Pictures come out byte for byte and in order, wherever the network cut the body."""
    pieces = [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]
    form = Client(pieces).read(Limits())
    assert form == Form(pictures=(b"one\r\n--two", b"\0\xff"), texts={"nb_results": "3"})


def test_a_silent_client_is_given_up() -> None:
    """A client that stops sending is told 408 after the time allowed, and does not hold a place for ever."""
    assert Client([WHOLE[:40]], then="silence").refusal(Limits(upload_s=0.1)).code == "too_slow"


def test_a_client_that_leaves_is_noticed() -> None:
    """Half a request and then nobody there: no picture is handed on."""
    assert Client([WHOLE[:40]], then="leave").refusal(Limits()).code == "disconnected"


def test_a_declared_size_is_enough_to_refuse() -> None:
    """A request that says it is too large is refused before a byte of it is read, if it waits to be asked."""
    client = Client([WHOLE], headers={"content-length": "1001", "expect": "100-continue"})
    assert client.refusal(Limits(max_bytes=1000)).status == 413
    assert client.taken == 0


@pytest.mark.parametrize("declared", ["abc", "-5", "1", "²"])
def test_a_wrong_declared_size_changes_nothing(declared: str) -> None:
    """Bytes are counted; what the client says about them is not relied on."""
    assert len(Client([WHOLE], headers={"content-length": declared}).read(Limits()).pictures) == 2


def test_the_rest_of_a_refused_upload_is_thrown_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends for ever is read on for a moment, so that it sees the reply, and no longer."""
    monkeypatch.setattr("camtrap_tf.serving.uploads.DRAIN_S", 0.1)
    client = Client([part("image", b"")[:-2]], then="endless")
    assert client.refusal(Limits(max_bytes=5000)).code == "too_large"
    assert client.taken > 10


def test_the_limit_itself_is_allowed() -> None:
    """A request of exactly the largest size is read; one byte more is not."""
    assert Client([WHOLE]).read(Limits(max_bytes=len(WHOLE)))
    assert Client([WHOLE]).refusal(Limits(max_bytes=len(WHOLE) - 1)).code == "too_large"
