"""Measures of one head, from class indices alone. NumPy only; what has no value is None, never 0."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from camtrap_tf.labels import COUNT_BIN
from camtrap_tf.prediction.scores import labelled

Z_95 = 1.959963984540054
"""Quantile of the normal distribution for 95 % intervals."""
TOP_K = 5
MIN_BINS = 3
"""Below this, being within one bin is being anywhere."""


def wilson_interval(right: int, n: int, *, z: float = Z_95) -> tuple[float, float] | None:
    """Returns the interval in which the true share lies, for `right` of `n`; None for n = 0.

    Source: E. B. Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    if n == 0:
        return None
    share, spread = right / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return (0.0 if right == 0 else centre - half), (1.0 if right == n else centre + half)


def confusion_matrix(targets: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Returns `[C, C]` int64: rows are true classes, columns predicted ones; missing labels are left out."""
    known = labelled(targets)
    pairs = np.asarray(targets, np.int64)[known] * n_classes + np.asarray(predicted, np.int64)[known]
    return np.bincount(pairs, minlength=n_classes * n_classes).reshape(n_classes, n_classes)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Measures per class, each `[C]`; NaN where a share has nothing to be a share of.

    Attributes:
        support: records of this class.
        predicted: records that were given this class.
        precision: share of `predicted` that is right.
        recall: share of `support` that was found.
        f1: harmonic mean of the two, counted as 2·right / (support + predicted); NaN where both are 0.
    """

    support: np.ndarray
    predicted: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def class_scores(confusion: np.ndarray) -> ClassScores:
    """Returns the measures per class of a confusion matrix."""
    right, support, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):
        return ClassScores(support, predicted, right / predicted, right / support, 2 * right / (support + predicted))


def macro_f1(scores: ClassScores) -> float | None:
    """Returns the mean F1 over the classes that occur, among labels or predictions."""
    return _mean(scores.f1)


def balanced_accuracy(scores: ClassScores) -> float | None:
    """Returns the mean recall over the classes that occur among labels."""
    return _mean(scores.recall)


def in_top_k(probabilities: np.ndarray, target: int, *, k: int = TOP_K) -> bool:
    """Says whether the true class is among the k most likely ones; of equal values the lower index comes first.

    Args:
        probabilities: `[C]`.
        target: true class, not negative.
        k: how many; more than C are all.
    """
    value = probabilities[target]
    ahead = int(np.sum(probabilities > value) + np.sum(probabilities[:target] == value))
    return ahead < k


def count_order(names: Sequence[str]) -> np.ndarray | None:
    """Returns the rank of each class where the classes are count bins (`1` … `10`, `11-50`, `51+`), else None.

    Args:
        names: class names by index. At least three have to be bins; of the others only `NA` is let pass.

    Returns:
        `[C]` int64 ranks from 0 by the lower bound; -1 for `NA`.
    """
    matches = [COUNT_BIN.fullmatch(name.strip()) for name in names]
    if any(match is None and name.strip().upper() != "NA" for name, match in zip(names, matches, strict=True)):
        return None
    bounds = {i: int(match[1]) for i, match in enumerate(matches) if match}
    if len(bounds) < MIN_BINS:
        return None
    ranks = np.full(len(names), -1, np.int64)
    for rank, index in enumerate(sorted(bounds, key=lambda i: (bounds[i], len(names[i])))):
        ranks[index] = rank
    return ranks


def within_one_bin(confusion: np.ndarray, order: np.ndarray) -> float | None:
    """Returns the share of records whose predicted bin is the true one or next to it; `NA` has no neighbours."""
    total = confusion.sum()
    if total == 0:
        return None
    near = np.abs(order[:, None] - order[None, :]) <= 1
    near &= (order[:, None] >= 0) & (order[None, :] >= 0)
    near |= np.eye(len(order), dtype=bool)
    return float(confusion[near].sum() / total)


def mean_bin_error(confusion: np.ndarray, order: np.ndarray) -> float | None:
    """Returns the mean number of bins between the true one and the predicted one; records of `NA` are left out."""
    bins = order >= 0
    counts, ranks = confusion[np.ix_(bins, bins)], order[bins]
    total = counts.sum()
    return float((counts * np.abs(ranks[:, None] - ranks[None, :])).sum() / total) if total else None


def bootstrap_interval(
    right: np.ndarray, groups: np.ndarray, *, draws: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """Returns the 95 % interval of the accuracy when whole groups are drawn again, with replacement.

    Pictures of one location resemble each other; an interval over locations says what to expect at a new one.

    Args:
        right: `[N]` bool.
        groups: `[N]` int, group of each record.
        draws: how often to draw.
        seed: of the drawing.

    Returns:
        The interval; None with fewer than five groups.
    """
    _, numbered = np.unique(groups, return_inverse=True)
    sizes = np.bincount(numbered)
    if len(sizes) < 5:
        return None
    hits = np.bincount(numbered, weights=np.asarray(right, np.float64))
    times = np.random.default_rng(seed).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=draws)
    low, high = np.quantile((times @ hits) / (times @ sizes), (0.025, 0.975))
    return float(low), float(high)


def confidence_bins(confidence: np.ndarray, right: np.ndarray, *, bins: int = 10) -> list[dict[str, float | int]]:
    """Returns, per tenth of confidence that occurs, how many records fall there, their mean confidence and accuracy."""
    if len(confidence) == 0:
        return []
    which = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    found = []
    for i in np.unique(which):
        here = which == i
        found.append({
            "from": float(i / bins), "to": float((i + 1) / bins), "n": int(here.sum()),
            "confidence": float(np.mean(confidence[here])), "accuracy": float(np.mean(right[here])),
        })  # fmt: skip
    return found


def most_confused(confusion: np.ndarray, *, limit: int = 15) -> list[tuple[int, int, int]]:
    """Returns the most frequent mistakes: (true class, predicted class, how often), most frequent first."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:limit]
    pairs = [(int(i // len(wrong)), int(i % len(wrong))) for i in order]
    return [(truth, given, int(wrong[truth, given])) for truth, given in pairs if wrong[truth, given] > 0]


def class_order(confusion: np.ndarray, *, limit: int | None = None) -> np.ndarray:
    """Returns class indices for showing: those of the most records and mistakes, most first.

    Args:
        confusion: `[C, C]`.
        limit: how many at most.
    """
    weight = confusion.sum(axis=0) + confusion.sum(axis=1)
    return np.argsort(-weight, kind="stable")[:limit]


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def class_row(name: str, of_class: ClassScores, index: int) -> dict[str, Any]:
    """Returns the scores of a class as plain values, None where one is not defined."""
    return {
        "class": name,
        "support": int(of_class.support[index]),
        "predicted": int(of_class.predicted[index]),
        "precision": _share(of_class.precision[index]),
        "recall": _share(of_class.recall[index]),
        "f1": _share(of_class.f1[index]),
    }


def as_list(interval: tuple[float, float] | None) -> list[float] | None:
    """Returns an interval as JSON has it."""
    return None if interval is None else list(interval)


def _share(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
