"""The socket and the HTTP server around an application."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from camtrap_tf.errors import SettingError

log = logging.getLogger(__name__)

GRACE_S = 15
"""How long requests under way may take to end once the service has been told to stop."""


def open_socket(host: str, port: int) -> tuple[socket.socket, str]:
    """Returns a listening socket and its address as a URL.

    Args:
        host: name or IP address, v4 or v6.
        port: 0: a free one.

    Raises:
        SettingError: the port is taken, not allowed, or the host is not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as err:
        raise SettingError(
            f"--host {host}: no such address ({err}); 127.0.0.1 is this machine, 0.0.0.0 all its networks"
        ) from err
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(1024)
    except OSError as err:
        listening.close()
        if err.errno == errno.EADDRINUSE:
            raise SettingError(
                f"--port {port}: another program listens there already; choose another, or 0 for a free one"
            ) from err
        raise SettingError(f"--host {host} --port {port}: cannot listen there ({err.strerror}); choose another") from err
    shown = f"[{host}]" if family == socket.AF_INET6 and ":" in host else host
    return listening, f"http://{shown}:{listening.getsockname()[1]}"


class _Server(uvicorn.Server):
    """Says that it is there only once it is."""

    def __init__(self, config: uvicorn.Config, message: str) -> None:
        super().__init__(config)
        self._message = message

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        log.info("%s", self._message)


def run_server(app: Any, listening: socket.socket, message: str) -> None:
    """Answers requests until SIGTERM or SIGINT, then lets those under way end.

    Args:
        app: the ASGI application.
        listening: where requests come in.
        message: logged once requests are answered.
    """
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_keep_alive=5, timeout_graceful_shutdown=GRACE_S
    )
    server = _Server(config, message)
    with _ended_by_signals(server):
        server.run(sockets=[listening])


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Makes SIGTERM and SIGINT an orderly end: uvicorn raises them again when it is done, which would kill the process."""

    def end(*_: object) -> None:
        """Asks the server to end."""
        server.should_exit = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
