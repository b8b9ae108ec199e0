"""Signals while training."""

import os
import signal
import threading

import pytest

from camtrap_tf.training import signals
from camtrap_tf.training.signals import StopSignal, watched_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)])
def test_held_back_until_a_safe_point(number: int, code: int) -> None:
    """While steps are under way a signal waits for the next safe point, and says how the process should end."""
    with watched_signals() as watch, watch.deferred():
        os.kill(os.getpid(), number)
        assert watch.received == number
        with pytest.raises(StopSignal) as caught:
            watch.check()
    assert (caught.value.exit_code, caught.value.safe) == (code, True)


def test_at_once_where_nothing_is_under_way() -> None:
    """Outside of the steps a signal ends the work at once."""
    with pytest.raises(StopSignal) as caught, watched_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert not caught.value.safe


def test_second_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C is obeyed at once, unless it comes right after the first, passed on by a wrapper."""
    with watched_signals() as watch, watch.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        monkeypatch.setattr(signals, "AGAIN_S", -1.0)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StopSignal) as caught:
            os.kill(os.getpid(), signal.SIGINT)
    assert not caught.value.safe


def test_handlers_come_back() -> None:
    """Afterwards signals are handled as before."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    with watched_signals():
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before


def test_other_threads_leave_signals_alone() -> None:
    """In another thread than the main one, training runs without handlers."""
    seen = []

    def work() -> None:
        """Passes items through under watch."""
        with watched_signals() as watch:
            seen.append(list(watch.between([1, 2])))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [[1, 2]]
