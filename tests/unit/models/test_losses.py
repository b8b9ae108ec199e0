"""Masked cross-entropy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.models.losses import masked_cross_entropy, masked_mean


def test_missing_row_counts_nowhere() -> None:
    """Of a missing row and one of probability one half, the loss is ln 2 (golden value of the spec)."""
    logits = tf.math.log([[0.2, 0.3, 0.5], [0.25, 0.25, 0.5]])
    loss = masked_mean(*masked_cross_entropy(tf.constant([-1, 2]), logits))
    assert float(loss) == pytest.approx(0.693147, abs=1e-6)


def test_all_missing_gives_zero_loss_and_gradient() -> None:
    """A batch without labels has loss 0 and moves nothing, even where logits are NaN."""
    logits = tf.Variable([[1.0, 2.0], [float("nan"), 0.0]])
    with tf.GradientTape() as tape:
        loss = masked_mean(*masked_cross_entropy(tf.constant([-1, -1]), logits))
    assert float(loss) == 0.0
    assert not np.any(np.nan_to_num(tape.gradient(loss, logits).numpy()[0]))


def test_equals_keras_on_labelled_rows() -> None:
    """The masked mean equals Keras' own loss over the labelled rows alone."""
    rng = np.random.default_rng(3)
    logits, targets = rng.normal(size=(20, 5)).astype("f"), rng.integers(-1, 5, 20)
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(targets[targets >= 0], logits[targets >= 0])
    assert float(masked_mean(*masked_cross_entropy(tf.constant(targets), tf.constant(logits)))) == pytest.approx(
        float(expected), rel=1e-5
    )
