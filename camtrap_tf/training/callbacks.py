"""What is decided after each epoch: stop, lower the rate, keep as best. Plain values that can be saved and restored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from camtrap_tf.config.optimisation import LESS_IS_BETTER
from camtrap_tf.models.metrics import Scores

PLATEAU_FACTOR = 0.1
PLATEAU_MIN_DELTA = 1e-4
PLATEAU_COOLDOWN = 1
PLATEAU_MIN_RATE = 1e-5


@dataclass
class _Watcher:
    """A counter with a memory.

    Attributes:
        best: least validation loss so far.
        wait: epochs since then, as this counter counts them.
    """

    best: float = math.inf
    wait: int = 0

    def state(self) -> dict[str, Any]:
        """Returns what has to be kept to go on later; JSON has no infinity, so that is None."""
        return {key: None if value == math.inf else value for key, value in asdict(self).items()}

    def restore(self, state: dict[str, Any]) -> Self:
        """Takes over a saved state; keys that are not there stay as they are."""
        for field in fields(self):
            if field.name in state:
                setattr(self, field.name, math.inf if state[field.name] is None else state[field.name])
        return self


@dataclass
class EarlyStopping(_Watcher):
    """Says stop once the validation loss has not improved for `patience` epochs; never with patience 0."""

    def update(self, loss: float, *, patience: int) -> bool:
        """Takes in the loss of an epoch; returns whether to stop."""
        if loss < self.best:
            self.best, self.wait = loss, 0
            return False
        self.wait += 1
        return 0 < patience <= self.wait


@dataclass
class Plateau(_Watcher):
    """Lowers the learning rate where the validation loss stays on one level.

    Attributes:
        cooldown: epochs that are still not counted after the last change.
    """

    cooldown: int = 0

    def update(self, loss: float, *, rate: float, patience: int) -> float:
        """Takes in the loss of an epoch; returns the rate to go on with. Patience 0: never lower.

        Source: Keras' ReduceLROnPlateau.
        """
        if self.cooldown:
            self.cooldown -= 1
            self.wait = 0
        if loss < self.best - PLATEAU_MIN_DELTA:
            self.best, self.wait = loss, 0
        elif not self.cooldown:
            self.wait += 1
            if 0 < patience <= self.wait and rate > PLATEAU_MIN_RATE:
                self.cooldown, self.wait = PLATEAU_COOLDOWN, 0
                return max(rate * PLATEAU_FACTOR, PLATEAU_MIN_RATE)
        return rate


@dataclass
class Best(_Watcher):
    """Knows the best epoch.

    Attributes:
        epoch: counted from 1; 0 before any.
        loss: validation loss of that epoch.
    """

    epoch: int = 0
    loss: float = math.inf

    def update(self, value: float, *, epoch: int, loss: float | None = None) -> bool:
        """Takes in an epoch; returns whether it is the best so far. The first one always is.

        Args:
            value: what epochs are compared by, less is better.
            epoch: counted from 1.
            loss: validation loss, where epochs are compared by something else.
        """
        if value < self.best or not self.epoch:
            self.best, self.epoch, self.loss = value, epoch, value if loss is None else loss
            return True
        return False


def judged(scores: Scores, unseen: Mapping[str, np.ndarray]) -> Scores:
    """Returns validation scores without the records of classes that training never sees.

    Such records cannot be got right. Their loss grows the surer a model becomes of what it has learnt, and would name the
    first epoch the best.

    Args:
        scores: of the validation data.
        unseen: label type → `[C]` bool; label types that are not in here are judged whole.
    """
    heads = {label: score.without(unseen[label]) if label in unseen else score for label, score in scores.heads.items()}
    return Scores(heads, scores.regularisation)


def monitored(monitor: str, scores: Scores, loss: float) -> float:
    """Returns what epochs are compared by; less is better.

    Args:
        monitor: a score by name, the mean over the label types that have it, or of one of them (`accuracy/species`).
        scores: of the validation data.
        loss: total validation loss.

    Returns:
        The loss, or the score; with its sign changed where more of it is better. 0 where nothing is labelled.
    """
    metric, _, label = monitor.partition("/")
    if monitor == "loss":
        return loss
    heads = [scores.heads[label]] if label else list(scores.heads.values())
    values = [float(value) for value in (head.as_dict().get(metric) for head in heads) if value is not None]
    mean = sum(values) / len(values) if values else 0.0
    return mean if metric in LESS_IS_BETTER else -mean
