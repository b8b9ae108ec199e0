"""Work in processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from camtrap_tf.errors import CamtrapError, SourceError
from camtrap_tf.executors import available_cores, map_in_processes


def square(number: int) -> tuple[int, int]:
    """Returns the square, and which process worked it out."""
    if number == 13:
        raise SourceError("thirteen")
    if number == -1:
        os._exit(9)
    return number * number, os.getpid()


def test_there_is_a_core() -> None:
    """At least one, at most as many as the machine has."""
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_one_worker_stays_in_this_process() -> None:
    """Results come one by one, lazily."""
    results = map_in_processes(square, iter([1, 2, 13]), workers=1)
    assert next(results) == (1, os.getpid())
    assert next(results) == (4, os.getpid())
    with pytest.raises(SourceError, match="thirteen"):
        next(results)


def test_results_keep_the_order_and_look_ahead_is_bounded() -> None:
    """Other processes do the work; no more tasks are drawn than there is room for."""
    drawn = []

    def tasks() -> Iterator[int]:
        """Yields tasks and remembers which."""
        for number in range(12):
            drawn.append(number)
            yield number

    results = map_in_processes(square, tasks(), workers=2, ahead=2)
    first, pid = next(results)
    assert first == 0
    assert pid != os.getpid()
    assert len(drawn) <= 5
    assert [value for value, _ in results] == [number * number for number in range(1, 12)]


def test_errors_of_workers_arrive() -> None:
    """An error we foresee is raised as it was; a killed worker gives one line."""
    with pytest.raises(SourceError, match="thirteen"):
        list(map_in_processes(square, [1, 13, 2], workers=2))
    with pytest.raises(CamtrapError, match="worker process was killed"):
        list(map_in_processes(square, [1, -1, 2], workers=2))


def nap(seconds: float) -> float:
    """Sleeps, and returns for how long."""
    time.sleep(seconds)
    return seconds


def test_work_that_is_given_up_ends_at_once() -> None:
    """Nobody waits for results that nobody wants."""
    results = map_in_processes(nap, [0.0, 60.0, 60.0, 60.0], workers=2)
    assert next(results) == 0.0
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 20


INTERRUPTED = """
from camtrap_tf.executors import map_in_processes
from tests.unit.test_executors import nap

print("begun", flush=True)
try:
    list(map_in_processes(nap, [60.0] * 4, workers=2))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("after_s", [0.05, 0.5])
def test_ctrl_c_is_heard_by_this_process_alone(after_s: float) -> None:
    """Workers that a terminal tells of Ctrl-C, even while they start, end without a word."""
    command = [sys.executable, "-c", INTERRUPTED]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGINT)
        said, complaints = process.communicate(timeout=30)
    assert (said, complaints) == ("interrupted\n", "")
