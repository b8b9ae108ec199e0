"""How well heads do over an epoch, counted class by class: batches without a labelled row change nothing.

What is counted adds up over batches, devices and records. From counts per class come the plain scores, in which every
record counts the same, and the weighted ones, in which every class does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from camtrap_tf.config.names import HeadType
from camtrap_tf.labels import PRESENT_FROM
from camtrap_tf.models.heads import SOFTMAX, HeadSpec
from camtrap_tf.models.losses import labelled_rows

TOP_K = 5
COLUMNS = 6
"""Numbers per class. Of one class a row: loss, rows, right ones, right among the top `TOP_K`, steps away from the truth, at
most one step away; each at the true class. Of sigmoid heads: loss, rows, rows right in all classes (both the same for all
classes), right yes, said yes, true yes."""


def head_sums(
    targets: tf.Tensor, logits: tf.Tensor, spec: HeadSpec = SOFTMAX, *, weights: tf.Tensor | None = None, k: int = TOP_K
) -> tf.Tensor:
    """Returns what a batch adds to the sums of a head, `[C, COLUMNS]` float32.

    Args:
        targets: `[B]` class indices, -1 where missing; of a sigmoid head `[B, C]` of 0 and 1, all -1 where missing.
        logits: `[B, C]`; of equal ones the lower index comes first, NaN never counts as right.
        spec: what the head is.
        weights: `[B]`, how much of a row counts; 1 where not given.
        k: may exceed the number of classes.
    """
    logits = tf.cast(logits, tf.float32)
    rows = tf.cast(labelled_rows(targets), tf.float32)
    rows = rows if weights is None else rows * weights
    if spec.kind == "sigmoid":
        truth = targets > 0
        losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.cast(truth, tf.float32), logits)
        said = tf.math.sigmoid(logits) >= PRESENT_FROM
        exact = tf.broadcast_to(tf.reduce_all(said == truth, axis=1, keepdims=True), tf.shape(truth))
        columns = [losses, tf.ones_like(losses), exact, said & truth, said, truth]
        counted = tf.stack([tf.cast(column, tf.float32) for column in columns], axis=-1)
        return tf.reduce_sum(tf.math.multiply_no_nan(counted, rows[:, None, None]), axis=0)
    index = tf.maximum(tf.cast(targets, tf.int32), 0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(index, logits)
    own = tf.gather(logits, index, batch_dims=1)[:, None]
    before = tf.range(tf.shape(logits)[1])[None, :] < index[:, None]
    rank = tf.reduce_sum(tf.cast((logits > own) | ((logits == own) & before), tf.int32), axis=1)
    usable = ~tf.math.is_nan(own[:, 0])
    columns = [losses, tf.ones_like(losses), usable & (rank < 1), usable & (rank < k)]
    if spec.kind == "ordinal":
        places = tf.constant(spec.ranks, tf.int32)
        away = tf.abs(tf.gather(places, tf.argmax(logits, axis=1)) - tf.gather(places, index))
        columns += [away, away <= 1]
    counted = tf.stack([tf.cast(column, tf.float32) for column in columns], axis=-1)
    counted = tf.pad(tf.math.multiply_no_nan(counted, rows[:, None]), [[0, 0], [0, COLUMNS - len(columns)]])
    return tf.math.unsorted_segment_sum(counted, index, logits.shape[1])


def row_sums(targets: np.ndarray, probabilities: np.ndarray, spec: HeadSpec = SOFTMAX, *, k: int = TOP_K) -> np.ndarray:
    """Returns what rows with known probabilities add to the sums of a head, `[C, COLUMNS]` float64.

    Args:
        targets: `[N]` or, of a sigmoid head, `[N, C]`, as for `head_sums`.
        probabilities: `[N, C]`.
        spec: what the head is.
        k: may exceed the number of classes.
    """
    rows = np.flatnonzero(targets >= 0 if targets.ndim == 1 else (targets >= 0).all(axis=1))
    classes, values = targets[rows], probabilities[rows].astype(np.float64)
    count = values.shape[1]
    if spec.kind == "sigmoid":
        truth, said = classes > 0, values >= PRESENT_FROM
        losses = -np.log(np.clip(np.where(truth, values, 1 - values), 1e-7, 1.0))
        exact = np.broadcast_to((said == truth).all(axis=1, keepdims=True), truth.shape)
        return np.stack([losses, np.ones_like(losses), exact, said & truth, said, truth], axis=-1).sum(axis=0)
    own = values[np.arange(len(rows)), classes]
    before = np.arange(count)[None, :] < classes[:, None]
    rank = ((values > own[:, None]) | ((values == own[:, None]) & before)).sum(axis=1)
    rank = np.where(np.isnan(own), count + k, rank)
    columns = [-np.log(np.clip(own, 1e-7, 1.0)), np.ones(len(rows)), rank < 1, rank < k]
    if spec.ranks is not None:
        away = np.abs(spec.ranks[values.argmax(axis=1)] - spec.ranks[classes])
        columns += [away, away <= 1]
    sums = np.zeros((count, COLUMNS))
    for place, column in enumerate(columns):
        sums[:, place] = np.bincount(classes, weights=column, minlength=count)
    return sums


@dataclass(slots=True)
class HeadScore:
    """Running sums of one head; `as_dict` gives the scores.

    Attributes:
        spec: what the head is.
        sums: `[C, COLUMNS]`; None before anything was added.
    """

    spec: HeadSpec = SOFTMAX
    sums: np.ndarray | None = None

    def add(self, sums: np.ndarray) -> None:
        """Adds sums `[C, COLUMNS]`."""
        values = np.asarray(sums, np.float64)
        self.sums = values if self.sums is None else self.sums + values

    def add_rows(self, targets: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds rows with known probabilities; see `row_sums`."""
        self.add(row_sums(targets, probabilities, self.spec))

    def without(self, classes: np.ndarray) -> HeadScore:
        """Returns the score without the rows of some true classes, `[C]` bool; the same where nothing would be left."""
        if self.sums is None or not (self.sums[:, 1] > 0)[~classes].any():
            return self
        return HeadScore(self.spec, np.where(classes[:, None], 0.0, self.sums))

    @property
    def kind(self) -> HeadType:
        """Of the head."""
        return self.spec.kind

    @property
    def labelled(self) -> float:
        """Rows with a label."""
        return self._total(1)

    @property
    def loss(self) -> float:
        """Summed cross-entropy of labelled rows."""
        return self._mean(0) if self.kind == "sigmoid" else self._total(0)

    @property
    def correct(self) -> float:
        """Rows that are right; of a sigmoid head in all classes."""
        return self._total(2)

    def _total(self, column: int) -> float:
        if self.sums is None:
            return 0.0
        # rows of a sigmoid head stand at each of its classes
        return float(self.sums[0, column] if self.kind == "sigmoid" else self.sums[:, column].sum())

    def _mean(self, column: int) -> float:
        return 0.0 if self.sums is None else float(self.sums[:, column].mean())

    def as_dict(self) -> dict[str, float | None]:
        """Returns the scores by name; shares are None where no row has a label, the loss is 0.

        All: `loss`, mean cross-entropy; `accuracy`, share of right rows. Of one class a row: `top_k_accuracy`;
        `weighted_loss` and `weighted_accuracy`, in which all classes that occur have the same weight; ordinal ones also
        `within_one_bin`, and `bin_error`, mean steps away from the truth. Of sigmoid heads: `micro_f1`, all answers
        together, and `macro_f1`, the mean over classes.
        """
        known = max(1.0, self.labelled)
        plain = {"loss": self.loss / known, "accuracy": self.correct / known if self.labelled else None}
        return {**plain, **(self._of_sigmoid() if self.kind == "sigmoid" else self._of_classes())}

    def _of_classes(self) -> dict[str, float | None]:
        sums = self.sums if self.sums is not None else np.zeros((1, COLUMNS))
        there = sums[sums[:, 1] > 0]
        means = there / there[:, 1:2]
        share = _mean_or_none
        scores = {
            "top_k_accuracy": share(there[:, 3], there[:, 1]),
            "weighted_loss": float(means[:, 0].mean()) if len(means) else 0.0,
            "weighted_accuracy": float(means[:, 2].mean()) if len(means) else None,
        }
        if self.kind == "ordinal":
            scores |= {"within_one_bin": share(there[:, 5], there[:, 1]), "bin_error": share(there[:, 4], there[:, 1])}
        return scores

    def _of_sigmoid(self) -> dict[str, float | None]:
        if self.sums is None or not self.labelled:
            return {"micro_f1": None, "macro_f1": None}
        right, given, true = self.sums[:, 3], self.sums[:, 4], self.sums[:, 5]
        occurring = given + true > 0
        each = 2 * right[occurring] / (given + true)[occurring]
        return {
            "micro_f1": float(2 * right.sum() / (given + true).sum()) if occurring.any() else None,
            "macro_f1": float(each.mean()) if occurring.any() else None,
        }


def _mean_or_none(sums: np.ndarray, counts: np.ndarray) -> float | None:
    return float(sums.sum() / counts.sum()) if counts.sum() else None


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
