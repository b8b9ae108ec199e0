"""The arithmetic of right and wrong that training, prediction and evaluation share. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Baseline:
    """What one gets by always answering with the most frequent class.

    Attributes:
        index: that class.
        accuracy: share of right answers, in [0, 1].
    """

    index: int
    accuracy: float


def labelled(targets: np.ndarray) -> np.ndarray:
    """Returns `[N]` bool: where the label is known (missing and unknown ones are negative)."""
    return np.asarray(targets) >= 0


def accuracy(targets: np.ndarray, predicted: np.ndarray) -> float | None:
    """Returns the share of right answers among labelled records; None where none is labelled.

    Args:
        targets: `[N]` class indices, negative where missing.
        predicted: `[N]` class indices.
    """
    known = labelled(targets)
    if not known.any():
        return None
    return float(np.mean(np.asarray(targets)[known] == np.asarray(predicted)[known]))


def class_counts(targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Returns `[C]` int64: labelled records per class."""
    known = np.asarray(targets)[labelled(targets)]
    return np.bincount(known, minlength=n_classes).astype(np.int64)


def majority_baseline(counts: np.ndarray) -> Baseline | None:
    """Returns the majority baseline of the records that are measured; None where none is labelled.

    It is the best that one can do without looking at the pictures: the most frequent class is that of these very records,
    not that of training.

    Args:
        counts: `[C]` labelled records per class, e.g. from `class_counts`.
    """
    if np.sum(counts) == 0:
        return None
    index = int(np.argmax(counts))
    return Baseline(index, float(counts[index] / np.sum(counts)))
