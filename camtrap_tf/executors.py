"""Work spread over local processes or threads: results in order, bounded look-ahead, clean ends."""

from __future__ import annotations

import collections
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import TypeVar

from camtrap_tf.errors import CamtrapError

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_cores() -> int:
    """Returns how many cores this process may use; at least one."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1))


def map_in_processes(
    function: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int | None = None, ahead: int = 2
) -> Generator[Result, None, None]:
    """Applies a function to tasks in worker processes and yields the results in the order of the tasks.

    At most `workers * ahead` tasks are under way, so neither tasks nor results pile up in memory. With one
    worker everything runs in this process. Worker processes are started afresh (`spawn`): they inherit no
    locks and no threads, and import only the module of `function`.

    Args:
        function: a module-level function.
        tasks: its arguments, one each; read lazily.
        workers: how many processes; the number of cores if not given.
        ahead: tasks under way per worker.

    Raises:
        CamtrapError: a worker process was killed, e.g. for want of memory.
    """
    workers = workers or available_cores()
    if workers == 1:
        yield from map(function, tasks)
        return
    context = multiprocessing.get_context("spawn")
    heard, said = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent, initargs=(heard,))
    pending: collections.deque[Future[Result]] = collections.deque()
    remaining = iter(tasks)
    try:
        for task in itertools.islice(remaining, workers * ahead):
            with _interrupts_held():
                pending.append(pool.submit(function, task))
        while pending:
            result = pending.popleft().result()
            for task in itertools.islice(remaining, 1):
                with _interrupts_held():
                    pending.append(pool.submit(function, task))
            yield result
    except BrokenProcessPool as err:
        raise CamtrapError("a worker process was killed (out of memory?); try fewer --workers") from err
    finally:
        said.close()  # whatever is still under way is not wanted any more
        pool.shutdown(wait=True, cancel_futures=True)
        heard.close()


def map_in_threads(
    function: Callable[[Task], Result], tasks: Iterable[Task], *, workers: int | None = None, ahead: int = 4
) -> Generator[Result, None, None]:
    """Applies a function to tasks in threads and yields the results in the order of the tasks.

    For work that waits for disks or leaves Python for long, such as decoding. At most `workers * ahead` tasks are under
    way.

    Args:
        function: what to do; an exception in it ends the work where its result is due.
        tasks: its arguments, one each; read lazily, from the calling thread.
        workers: how many threads; the number of cores if not given.
        ahead: tasks under way per thread.
    """
    workers = workers or available_cores()
    pending: collections.deque[Future[Result]] = collections.deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for task in tasks:
            pending.append(pool.submit(function, task))
            if len(pending) >= workers * ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Holds Ctrl-C back while worker processes are started, who inherit that: it is for this process to end them.

    A terminal sends it to all of them, also to one that is still loading Python and would tell of it at length.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent(heard: Connection) -> None:
    """Makes a worker process end at once when its parent is killed, or has no more use for it and closes its end of a pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=([parent.sentinel, heard],), daemon=True).start()


def _end_after(ends: Sequence[Connection | int]) -> None:
    """Waits for the first of these to come to an end, then ends this process."""
    wait(ends)
    os._exit(1)  # the main thread sits in a blocking read and would not hear of a gentler end
