"""Stopping on a signal: at once where nothing can be lost, else at the next safe point, after a checkpoint."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from camtrap_tf.logs import logger

EXIT_INTERRUPTED = 130
EXIT_REQUEUE = 75
"""What batch systems read as: start me again. Source: EX_TEMPFAIL of sysexits.h."""
_EXIT_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_REQUEUE, signal.SIGUSR1: EXIT_REQUEUE}
AGAIN_S = 1.0
"""A second Ctrl-C later than this ends the process at once."""
_LOG = logger(__name__)
Item = TypeVar("Item")


class StopSignal(BaseException):
    """A signal asks to stop. Not an `Exception`, so that nothing on the way takes it for a failure.

    Attributes:
        signal: which.
        safe: whether it was raised at a point where the state of the training is whole.
    """

    def __init__(self, number: int, *, safe: bool) -> None:
        self.signal = signal.Signals(number)
        self.safe = safe
        super().__init__(self.signal.name)

    @property
    def exit_code(self) -> int:
        """What the process returns."""
        return _EXIT_CODES[self.signal]


class SignalWatch:
    """Takes SIGINT, SIGTERM and SIGUSR1 while a training runs.

    Attributes:
        received: the first signal that is still to be obeyed.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._deferring = False
        self._received_at = 0.0

    def check(self) -> None:
        """To be called at safe points.

        Raises:
            StopSignal: a signal came.
        """
        if self.received is not None:
            raise StopSignal(self.received, safe=True)

    def between(self, items: Iterable[Item]) -> Iterator[Item]:
        """Passes items through; every one of them is a safe point."""
        for item in items:
            self.check()
            yield item

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Holds signals back until `check`; a second one of the user ends the process at once all the same."""
        self._deferring = True
        try:
            yield
        finally:
            self._deferring = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles a signal."""
        # a wrapper may pass on what the terminal has sent already: only later ones are a second thought
        again = self.received is not None and number == signal.SIGINT and time.monotonic() > self._received_at + AGAIN_S
        if not self._deferring or again:
            raise StopSignal(number, safe=False)
        if self.received is None:
            self.received, self._received_at = number, time.monotonic()
            _LOG.info("%s: stopping after this step, with a checkpoint", signal.Signals(number).name)


@contextmanager
def watched_signals() -> Iterator[SignalWatch]:
    """Takes over the signals for a while. Outside the main thread, which alone may do so, they stay as they are."""
    watch = SignalWatch()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    before = {number: signal.signal(number, watch.handle) for number in _EXIT_CODES}
    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
