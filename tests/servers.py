"""A local HTTP server that does what real ones do on bad days; what a path does is in the table it is given."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"


def picture(name: str, size: int = 4000) -> bytes:
    """Returns bytes that begin like a JPEG and are others for every name."""
    seed = hashlib.sha256(name.encode()).digest()
    return (JPEG + seed * (size // len(seed) + 1))[:size]


@dataclass
class Request:
    """What a client asked for: method, path without query, headers in lower case, how often so far, and when (monotonic, s)."""

    method: str
    path: str
    headers: dict[str, str]
    count: int
    at: float = 0.0


@dataclass
class Site:
    """What a server has and does.

    Attributes:
        files: path → content; anything else is 404.
        answers: path → function that answers in its own way.
        requests: all requests so far.
        active: how many are answered now; `most_active` is the largest number so far.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    answers: dict[str, Callable[[Request, BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    active: int = 0
    most_active: int = 0
    pause_s: float = 0.0
    etags: bool = True
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def asked(self, path: str, method: str = "GET") -> list[Request]:
        """Returns the requests for a path."""
        return [one for one in self.requests if one.path == path and one.method == method]


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    """Answers with a status, headers (`_` for `-`) and a body."""
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(body)), "Content_Type": "image/jpeg", **headers}.items():
        if value:
            handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def send_file(handler: BaseHTTPRequestHandler, request: Request, body: bytes, *, etag: bool = True) -> None:
    """Answers like a good server: ranges, and an ETag by which they are kept apart."""
    tag = f'"{hashlib.md5(body).hexdigest()}"' if etag else ""
    wanted = request.headers.get("range", "")
    if wanted.startswith("bytes=") and request.headers.get("if-range", tag) == tag:
        start, _, end = wanted[6:].partition("-")
        first, last = int(start), min(int(end or len(body)), len(body) - 1)
        if first >= len(body):
            send(handler, 416, Content_Range=f"bytes */{len(body)}")
            return
        span = f"bytes {first}-{last}/{len(body)}"
        send(handler, 206, body[first : last + 1], Content_Range=span, ETag=tag)
        return
    send(handler, 200, body, ETag=tag)


def cut_after(count: int, body: bytes, *, times: int = 1) -> Callable[[Request, BaseHTTPRequestHandler], None]:
    """Returns an answer that promises a file and breaks off after some bytes, the first times it is asked."""

    def answer(request: Request, handler: BaseHTTPRequestHandler) -> None:
        """Breaks off, or goes on where it was."""
        if request.count > times or request.method == "HEAD":
            send_file(handler, request, body)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        handler.end_headers()
        handler.wfile.write(body[:count])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.close()

    return answer


def first_refuse(
    status: int, body: bytes, *, times: int = 1, **headers: str
) -> Callable[[Request, BaseHTTPRequestHandler], None]:
    """Returns an answer that is an error the first times it is asked, and the file afterwards."""

    def answer(request: Request, handler: BaseHTTPRequestHandler) -> None:
        """Refuses, or sends."""
        if request.count <= times:
            send(handler, status, b"no", **headers)
        else:
            send_file(handler, request, body)

    return answer


def redirect(to: str) -> Callable[[Request, BaseHTTPRequestHandler], None]:
    """Returns an answer that leads elsewhere."""
    return lambda _, handler: send(handler, 302, Location=to)


def always(status: int, body: bytes, **headers: str) -> Callable[[Request, BaseHTTPRequestHandler], None]:
    """Returns an answer that is always the same, whatever part is asked for."""
    return lambda _, handler: send(handler, status, body, **headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        """Answers by the tables of the site."""
        path = self.path.partition("?")[0]
        with self.site.lock:
            self.site.counts[path] += self.command == "GET"
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, path, headers, self.site.counts[path], time.monotonic())
            self.site.requests.append(request)
            self.site.active += 1
            self.site.most_active = max(self.site.most_active, self.site.active)
        try:
            time.sleep(self.site.pause_s)
            if path in self.site.answers:
                self.site.answers[path](request, self)
            elif path in self.site.files:
                send_file(self, request, self.site.files[path], etag=self.site.etags)
            else:
                send(self, 404, b"not here", Content_Type="text/plain")
        except OSError:
            self.close_connection = True
        finally:
            with self.site.lock:
                self.site.active -= 1

    def do_HEAD(self) -> None:
        """Answers like a GET; `send` leaves the body out."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Keeps quiet."""

    def finish(self) -> None:
        """Ends quietly also where the answer broke the connection."""
        with suppress(OSError, ValueError):
            super().finish()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Keeps quiet about broken connections; they are meant."""


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Serves a site on a free local port while the block runs."""
    handler = type("Handler", (_Handler,), {"site": site})
    server = _Server(("127.0.0.1", 0), handler)
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
