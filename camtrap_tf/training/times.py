"""Where the time of an epoch went: seconds by what they were spent on, as a row of `timing.csv`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Times:
    """Where the time of an epoch went, as far as this process took part in it.

    Attributes:
        steps: taken.
        examples: in them.
        train_s: for steps, waiting for their input included.
        waiting_s: for their input.
        validation_s: for validation.
        save_s: for checkpoints and the epoch's model file.
    """

    steps: int = 0
    examples: int = 0
    train_s: float = 0.0
    waiting_s: float = 0.0
    validation_s: float = 0.0
    save_s: float = 0.0

    @contextmanager
    def counted(self, name: str) -> Iterator[None]:
        """Adds the time of a block to one of the attributes."""
        started = time.perf_counter()
        try:
            yield
        finally:
            setattr(self, name, getattr(self, name) + time.perf_counter() - started)

    def row(self) -> dict[str, float | int]:
        """Returns a row of `timing.csv`, without the epoch."""
        seconds = {name: round(getattr(self, name), 3) for name in ("train_s", "waiting_s", "validation_s", "save_s")}
        rate = round(self.examples / self.train_s, 2) if self.train_s else 0.0
        return {"steps": self.steps, "examples": self.examples, **seconds, "examples_per_s": rate}
