"""The loss of one head: cross-entropy in which missing labels take no part.

Sum and count come apart, so that whoever knows the whole batch (all replicas, all accumulation steps) divides.
"""

from __future__ import annotations

import tensorflow as tf


def masked_cross_entropy(
    targets: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the summed cross-entropy of the labelled rows, and how many there are.

    Args:
        targets: `[B]` integers; -1 where the label is missing.
        logits: `[B, C]` floats.
        weights: `[B]` of the rows, in both; 1 where not given.

    Returns:
        Two float32 scalars. Rows with a missing label add nothing to either, whatever their logits.
    """
    labelled = targets >= 0
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(labelled, targets, 0), tf.cast(logits, tf.float32))
    counted = tf.cast(labelled, tf.float32) if weights is None else tf.where(labelled, weights, 0.0)
    return tf.reduce_sum(tf.where(labelled, losses, 0.0) * counted), tf.reduce_sum(counted)


def masked_mean(total: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Returns `total / max(1, count)`: 0 where nothing is labelled."""
    return total / tf.maximum(count, 1.0)
