"""Accuracy over labelled rows, counted over an epoch: batches without a labelled row change nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

TOP_K = 5


def correct_counts(targets: tf.Tensor, scores: tf.Tensor, *, k: int = TOP_K) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns how many labelled rows have their class on top, and how many among the top `k`.

    Args:
        targets: `[B]` integers; -1 where the label is missing.
        scores: `[B, C]` logits or probabilities; of equal ones the lower index comes first, NaN never counts.
        k: may exceed the number of classes.

    Returns:
        Two float32 scalars.
    """
    scores = tf.cast(scores, tf.float32)
    labelled = targets >= 0
    index = tf.where(labelled, targets, 0)
    own = tf.gather(scores, index, batch_dims=1)[:, None]
    before = tf.range(tf.shape(scores)[1])[None, :] < tf.cast(index, tf.int32)[:, None]
    rank = tf.reduce_sum(tf.cast((scores > own) | ((scores == own) & before), tf.int32), axis=1)
    usable = labelled & ~tf.math.is_nan(own[:, 0])
    return (
        tf.reduce_sum(tf.cast(usable & (rank < 1), tf.float32)),
        tf.reduce_sum(tf.cast(usable & (rank < k), tf.float32)),
    )


@dataclass(slots=True)
class HeadScore:
    """Running sums of one head; `as_dict` gives the means.

    Attributes:
        loss: summed cross-entropy of labelled rows.
        labelled: rows with a label.
        correct: rows whose class came out on top.
        correct_top_k: rows whose class was among the top `TOP_K`.
    """

    loss: float = 0.0
    labelled: float = 0.0
    correct: float = 0.0
    correct_top_k: float = 0.0

    def add(self, sums: np.ndarray) -> None:
        """Adds `[loss, labelled, correct, correct_top_k]`."""
        self.loss += float(sums[0])
        self.labelled += float(sums[1])
        self.correct += float(sums[2])
        self.correct_top_k += float(sums[3])

    def add_rows(self, targets: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds rows with known probabilities.

        Args:
            targets: `[N]` integers, -1 where missing.
            probabilities: `[N, C]`.
        """
        rows = np.flatnonzero(targets >= 0)
        if not len(rows):
            return
        classes, values = targets[rows], probabilities[rows].astype(np.float64)
        own = values[np.arange(len(rows)), classes]
        before = np.arange(values.shape[1])[None, :] < classes[:, None]
        rank = ((values > own[:, None]) | ((values == own[:, None]) & before)).sum(axis=1)
        rank = np.where(np.isnan(own), values.shape[1] + TOP_K, rank)
        self.add(np.array([-np.log(np.clip(own, 1e-7, 1.0)).sum(), len(rows), (rank < 1).sum(), (rank < TOP_K).sum()]))

    def as_dict(self) -> dict[str, float | None]:
        """Returns loss, accuracy and top-k accuracy; accuracies are None where no row has a label, the loss is 0."""
        known = self.labelled > 0
        return {
            "loss": self.loss / max(1.0, self.labelled),
            "accuracy": self.correct / self.labelled if known else None,
            "top_k_accuracy": self.correct_top_k / self.labelled if known else None,
        }


@dataclass(slots=True)
class Scores:
    """Scores of all heads over an epoch or a data set.

    Attributes:
        heads: label type → its sums.
        regularisation: penalty on the weights, part of the total loss.
    """

    heads: dict[str, HeadScore] = field(default_factory=dict)
    regularisation: float = 0.0

    def total_loss(self, weights: dict[str, float]) -> float:
        """Returns the weighted sum of the heads' losses plus the penalty; NaN stays NaN."""
        return sum(weight * float(self.heads[label].as_dict()["loss"] or 0.0) for label, weight in weights.items()) + (
            self.regularisation
        )
