"""Accuracy and majority baseline, counted a second way."""

from __future__ import annotations

import numpy as np

from camtrap_tf.prediction.scores import accuracy, class_counts, majority_baseline

TARGETS = np.array([0, 1, 1, -1, 2, 1])
PREDICTED = np.array([0, 1, 2, 1, 2, 0])


def test_missing_labels_do_not_count() -> None:
    """Accuracy is over labelled records only."""
    assert accuracy(TARGETS, PREDICTED) == 3 / 5


def test_nothing_labelled_has_no_accuracy() -> None:
    """Without a labelled record there is no accuracy, rather than 0."""
    assert accuracy(np.array([-1, -1]), np.array([0, 1])) is None
    assert majority_baseline(class_counts(np.array([-1]), 3)) is None


def test_counts_per_class() -> None:
    """Classes are counted without missing ones; a class that does not occur has 0."""
    assert class_counts(TARGETS, 4).tolist() == [1, 3, 1, 0]


def test_baseline_is_the_most_frequent_class() -> None:
    """The most frequent class of the records is the baseline."""
    baseline = majority_baseline(class_counts(TARGETS, 3))
    assert baseline is not None
    assert (baseline.index, baseline.accuracy) == (1, 3 / 5)
