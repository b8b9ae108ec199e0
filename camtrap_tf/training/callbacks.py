"""What is decided after each epoch: stop, lower the rate, keep as best. Plain values that can be saved and restored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from camtrap_tf.config.optimisation import LESS_IS_BETTER
from camtrap_tf.config.training import TrainConfig
from camtrap_tf.errors import counted, shortened
from camtrap_tf.labels import LabelMapping
from camtrap_tf.models.metrics import Scores

PLATEAU_FACTOR = 0.1
PLATEAU_THRESHOLD = 1e-4


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """When the validation loss counts as staying on one level, and what the rate may become.

    Attributes:
        patience: epochs without a lower loss after which the rate falls to a tenth; 0: it never does.
        cooldown: after a fall, one epoch fewer than this is not counted; so 0 and 1 are the same.
        min_rate: below which it does not fall.
        relative: whether a loss has to be lower by a share of the best one, not by an amount.
    """

    patience: int
    cooldown: int = 1
    min_rate: float = 1e-5
    relative: bool = False

    @classmethod
    def from_config(cls, config: TrainConfig) -> Flat:
        """Returns what the settings ask for."""
        return cls(
            patience=config.reduce_lr_on_plateau_patience,
            cooldown=config.reduce_lr_on_plateau_cooldown,
            min_rate=config.reduce_lr_on_plateau_min,
            relative=config.reduce_lr_on_plateau_threshold_mode == "rel",
        )

    def lower(self, loss: float, best: float) -> bool:
        """Returns whether a loss is lower than the best one by enough to count."""
        return loss < (best * (1.0 - PLATEAU_THRESHOLD) if self.relative else best - PLATEAU_THRESHOLD)


@dataclass
class Plateau(_Watcher):
    """Lowers the learning rate where the validation loss stays on one level.

    Attributes:
        cooldown: epochs that are still not counted after the last change.
    """

    cooldown: int = 0

    def update(self, loss: float, *, rate: float, flat: Flat) -> float:
        """Takes in the loss of an epoch; returns the rate to go on with.

        Source: Keras' ReduceLROnPlateau; the relative threshold is PyTorch's, whose patience counts one epoch less.
        """
        if self.cooldown:
            self.cooldown -= 1
            self.wait = 0
        if flat.lower(loss, self.best):
            self.best, self.wait = loss, 0
        elif not self.cooldown:
            self.wait += 1
            if 0 < flat.patience <= self.wait and rate > flat.min_rate:
                self.cooldown, self.wait = flat.cooldown, 0
                return max(rate * PLATEAU_FACTOR, flat.min_rate)
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


def unjudged(unseen: Mapping[str, np.ndarray], mapping: LabelMapping, counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Returns a line per label type about validation records that `judged` leaves out; none where it leaves out none.

    Args:
        unseen: as for `judged`.
        mapping: names the classes.
        counts: label type → class → records of the validation data.
    """
    lines = []
    for label, absent in unseen.items():
        of_class = np.zeros(len(absent), int)
        for name, index in mapping.classes[label].items():
            of_class[index] += counts.get(label, {}).get(name, 0)
        left_out = [name for name, out, count in zip(mapping.names(label), absent, of_class, strict=True) if out and count]
        if left_out and of_class[~absent].any():
            records = counted(int(of_class[absent].sum()), "validation record")
            lines.append(
                f"label {label!r}: which epoch is best, and when to stop, goes without {records} of classes that no training "
                f"record has ({shortened(left_out)}); the losses and scores that are printed count them"
            )
    return lines


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


def score_text(monitor: str, value: float) -> str:
    """Returns what `monitored` returned as people read it: `loss 0.5123`, `accuracy/species 0.8000`."""
    return f"{monitor} {value if monitor.partition('/')[0] in LESS_IS_BETTER else -value:.4f}"
