"""What a running epoch shows on stderr: live on a terminal, a plain line now and then elsewhere.

Receives batches to pass through and numbers to show, both from the loop. It asks nothing of a device: the loop hands
over losses and sums that it has waited for anyway. Time spent in here is bounded by drawing at most four times a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, TypeVar

LIVE_INTERVAL_S = 0.25
PLAIN_INTERVAL_S = 10.0
_KEPT = 0.9
"""How much of the shown loss stays when the next one comes in."""
_KNOWN_FROM_STEPS = 2
_KNOWN_FROM_S = 5.0
"""Steps after the first, and their time, from which on it is told how much is left: a guess from less is far off."""

Batch = TypeVar("Batch", bound=Mapping[str, Any])


class EpochDisplay:
    """Shows step, loss, scores, speed, time left and the share of time that input is waited for.

    Attributes:
        waiting_s: time waited for batches so far.
    """

    def __init__(self, title: str, *, total: int, done: int = 0, terminal: bool | None = None) -> None:
        """Prepares; shown from `with` on.

        Args:
            title: e.g. `Epoch 3 of 70`.
            total: steps of the epoch.
            done: steps of it that lie behind already.
            terminal: draw live; asks stderr where not given.
        """
        self.waiting_s = 0.0
        self._title, self._total, self._behind, self._step = title, total, done, done
        self._terminal = sys.stderr.isatty() if terminal is None else terminal
        self._interval = LIVE_INTERVAL_S if self._terminal else PLAIN_INTERVAL_S
        self._loss: float | None = None
        self._scores: dict[str, float | None] = {}
        self._examples = 0
        self._began = self._shown = self._asked = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._drawing: Any = None

    def __enter__(self) -> Self:
        if self._terminal:
            from rich.console import Console
            from rich.live import Live

            self._drawing = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self._drawing.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawing is not None:
            self._drawing.stop()

    def batches(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Passes batches through, and counts the time until each is there; `records` of a batch says how many it has."""
        source = iter(batches)
        while True:
            asked = time.monotonic()
            batch = next(source, None)
            self.waiting_s += time.monotonic() - asked
            if batch is None:
                return
            yield batch
            self._step += 1
            self._examples += len(batch["records"])
            if self._first is None:  # the first step compiles; speed is measured from its end
                self._first = (time.monotonic(), self._examples)
            self._show()

    def wants_scores(self) -> bool:
        """Tells whether scores would be shown if they were fetched now; True at most once per interval."""
        now = time.monotonic()
        if now - self._asked < self._interval / 2:
            return False
        self._asked = now
        return True

    def tell(self, loss: float, scores: Mapping[str, float | None] | None = None) -> None:
        """Takes in the loss of a step, and now and then the score of each label type since the epoch began."""
        self._loss = loss if self._loss is None else _KEPT * self._loss + (1.0 - _KEPT) * loss
        if scores is not None:
            self._scores = dict(scores)

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._shown < self._interval:
            return
        self._shown = now
        if self._drawing is None:
            print(f"{self._title}: step {self._step} of {self._total}, {', '.join(self.parts())}", file=sys.stderr, flush=True)
        else:
            self._drawing.update(self._drawn(), refresh=True)

    def parts(self) -> list[str]:
        """Returns what there is to say besides the step."""
        now = time.monotonic()
        said = [] if self._loss is None else [f"loss {self._loss:.4f}"]
        said += [f"{label} {value:.1%}" for label, value in self._scores.items() if value is not None]
        if self._first is not None and self._examples > self._first[1] and now > self._first[0]:
            took = now - self._first[0]
            steps = self._step - self._behind - 1
            said.append(f"{(self._examples - self._first[1]) / took:.3g} images/s")
            if steps >= _KNOWN_FROM_STEPS and took >= _KNOWN_FROM_S:
                said.append(f"about {duration(took / steps * (self._total - self._step))} left")
        if now > self._began:
            said.append(f"waiting for input {min(1.0, self.waiting_s / (now - self._began)):.0%}")
        return said

    def _drawn(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self._total, completed=self._step, width=40)
        line.add_row(Text(self._title), bar, Text(f"{self._step}/{self._total} steps"))
        return Group(line, Text(" · ".join(self.parts())))


def duration(seconds: float) -> str:
    """Returns a time span for people: `40 s`, `3 min`, `2 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
