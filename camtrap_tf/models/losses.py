"""The loss of one head: cross-entropy in which missing labels take no part, on request smoothed, focal or weighted.

Sum and count come apart, so that whoever knows the whole batch (all replicas, all accumulation steps) divides.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from camtrap_tf.config.names import HeadType


def masked_mean(total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns `total / max(1, count)`: 0 where nothing is labelled."""
    return total / tf.maximum(count, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What training makes small for one head: the cross-entropy of its rows, changed as asked for.

    Of classes that exclude each other it is that of the true class. Of a sigmoid head it is the mean of the classes'
    binary cross-entropies.

    Attributes:
        kind: of the head.
        smoothing: share of each target that is spread over all classes, in [0, 1); over yes and no for a sigmoid head.
        gamma: of the focal loss; what has probability p at the truth counts (1 - p) ** gamma. Source: T.-Y. Lin et al. (2017),
            Focal loss for dense object detection, equation 4, without alpha.
        class_weights: weight of each class, `C` of them; those of rows are not divided out again. None: 1.
    """

    kind: HeadType = "softmax"
    smoothing: float = 0.0
    gamma: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def __call__(self, targets: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the summed loss of the labelled rows, and how many there are.

        Args:
            targets: `[B]` class indices, -1 where missing; of a sigmoid head `[B, C]` of 0 and 1, all -1 where missing.
            logits: `[B, C]` floats.
            weights: `[B]` of the rows, in both; 1 where not given.

        Returns:
            Two float32 scalars. Rows with a missing label add nothing to either, whatever their logits.
        """
        labelled = labelled_rows(targets)
        logits = tf.cast(logits, tf.float32)
        losses = self._of_classes(targets, logits) if self.kind == "sigmoid" else self._of_true_class(targets, logits)
        counted = tf.cast(labelled, tf.float32) if weights is None else tf.where(labelled, weights, 0.0)
        return tf.reduce_sum(tf.where(labelled, losses, 0.0) * counted), tf.reduce_sum(counted)

    def _of_true_class(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        known = tf.maximum(targets, 0)
        own = tf.nn.sparse_softmax_cross_entropy_with_logits(known, logits)
        losses = own
        if self.smoothing:
            everywhere = -tf.reduce_mean(tf.nn.log_softmax(logits), axis=1)
            losses = (1.0 - self.smoothing) * own + self.smoothing * everywhere
        if self.gamma:
            losses *= _hardness(-own, self.gamma)
        if self.class_weights is not None:
            losses *= tf.gather(tf.constant(self.class_weights, tf.float32), known)
        return losses

    def _of_classes(self, targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        truth = tf.cast(tf.maximum(targets, 0), tf.float32)
        own = tf.nn.sigmoid_cross_entropy_with_logits(truth, logits)
        losses = own
        if self.smoothing:
            smooth = (1.0 - self.smoothing) * truth + 0.5 * self.smoothing
            losses = tf.nn.sigmoid_cross_entropy_with_logits(smooth, logits)
        if self.gamma:
            losses *= _hardness(-own, self.gamma)
        if self.class_weights is not None:
            losses *= tf.constant(self.class_weights, tf.float32)
        return tf.reduce_mean(losses, axis=1)


def labelled_rows(targets: tf.Tensor) -> tf.Tensor:
    """Returns `[B]` bool: where the label is known, for targets `[B]` or `[B, C]`."""
    return targets >= 0 if len(targets.shape) == 1 else tf.reduce_all(targets >= 0, axis=1)


def _hardness(log_probability: tf.Tensor, gamma: float) -> tf.Tensor:
    """Returns `(1 - p) ** gamma`; a sure answer is kept from having no slope for gamma below 1."""
    return tf.pow(tf.maximum(-tf.math.expm1(log_probability), 1e-7), gamma)
