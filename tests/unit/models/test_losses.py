"""Losses of heads, against plain NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.models.losses import Objective, masked_mean

RNG = np.random.default_rng(3)
LOGITS, TARGETS = RNG.normal(size=(20, 5)).astype("f"), RNG.integers(-1, 5, 20).astype("i4")
SEVERAL = np.where(RNG.random((20, 1)) < 0.3, -1, RNG.integers(0, 2, (20, 5))).astype("i4")


def loss_of(objective: Objective, targets: np.ndarray, logits: np.ndarray) -> float:
    """Returns the mean loss of labelled rows."""
    return float(masked_mean(*objective(tf.constant(targets), tf.constant(logits))))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns probabilities."""
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


def test_missing_row_counts_nowhere() -> None:
    """Of a missing row and one of probability one half, the loss is ln 2 (golden value of the spec)."""
    logits = np.log([[0.2, 0.3, 0.5], [0.25, 0.25, 0.5]])
    assert loss_of(Objective(), np.array([-1, 2]), logits) == pytest.approx(0.693147, abs=1e-6)


@pytest.mark.parametrize(
    ("objective", "targets"), [(Objective(), [-1, -1]), (Objective(kind="sigmoid", gamma=2.0), [[-1, -1], [-1, -1]])]
)
def test_all_missing_gives_zero_loss_and_gradient(objective: Objective, targets: list) -> None:
    """A batch without labels has loss 0 and moves nothing, even where logits are NaN."""
    logits = tf.Variable([[1.0, 2.0], [float("nan"), 0.0]])
    with tf.GradientTape() as tape:
        loss = masked_mean(*objective(tf.constant(targets), logits))
    assert float(loss) == 0.0
    assert not np.any(np.nan_to_num(tape.gradient(loss, logits).numpy()[0]))


def test_equals_keras_on_labelled_rows() -> None:
    """Without options it equals Keras' own loss over the labelled rows alone."""
    known = TARGETS >= 0
    expected = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(TARGETS[known], LOGITS[known])
    assert loss_of(Objective(), TARGETS, LOGITS) == pytest.approx(float(expected), rel=1e-5)


def test_smoothing_equals_keras() -> None:
    """Smoothed targets give Keras' loss with the same smoothing, one class a row and several."""
    known = TARGETS >= 0
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    expected = theirs(np.eye(5, dtype="f")[TARGETS[known]], LOGITS[known])
    assert loss_of(Objective(smoothing=0.2), TARGETS, LOGITS) == pytest.approx(float(expected), rel=1e-5)
    known = SEVERAL[:, 0] >= 0
    expected = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.2)(SEVERAL[known].astype("f"), LOGITS[known])
    assert loss_of(Objective(kind="sigmoid", smoothing=0.2), SEVERAL, LOGITS) == pytest.approx(float(expected), rel=1e-5)


def test_focal_loss_of_one_class_a_row() -> None:
    """The loss of a row is -(1 - p)^gamma log p of its class."""
    known = TARGETS >= 0
    p = softmax(LOGITS)[known, TARGETS[known]]
    assert loss_of(Objective(gamma=1.5), TARGETS, LOGITS) == pytest.approx(np.mean(-((1 - p) ** 1.5) * np.log(p)), rel=1e-5)


def test_focal_loss_of_several_equals_keras() -> None:
    """For a sigmoid head the focal loss is Keras' binary one."""
    known = SEVERAL[:, 0] >= 0
    theirs = keras.losses.BinaryFocalCrossentropy(from_logits=True, gamma=2.0)
    expected = theirs(SEVERAL[known].astype("f"), LOGITS[known])
    assert loss_of(Objective(kind="sigmoid", gamma=2.0), SEVERAL, LOGITS) == pytest.approx(float(expected), rel=1e-4)


def test_weights_stay_in_when_the_count_divides() -> None:
    """A weighted loss is the weighted sum over the number of labelled rows, not over the sum of weights."""
    weights = (0.5, 1.0, 2.0, 3.0, 0.25)
    known = TARGETS >= 0
    p = softmax(LOGITS)[known, TARGETS[known]]
    expected = np.sum(np.array(weights)[TARGETS[known]] * -np.log(p)) / known.sum()
    assert loss_of(Objective(class_weights=weights), TARGETS, LOGITS) == pytest.approx(expected, rel=1e-5)
    rows = SEVERAL[SEVERAL[:, 0] >= 0]
    logits = LOGITS[SEVERAL[:, 0] >= 0].astype(np.float64)
    each = np.logaddexp(0, np.where(rows > 0, -logits, logits))
    expected = (each * weights).mean(axis=1).mean()
    assert loss_of(Objective(kind="sigmoid", class_weights=weights), SEVERAL, LOGITS) == pytest.approx(expected, rel=1e-5)


def test_parts_of_a_batch_add_up() -> None:
    """Sums and counts of two halves are those of the whole, with row weights too."""
    objective, rows = Objective(smoothing=0.1, gamma=1.0, class_weights=(1.0, 2.0, 1.0, 1.0, 3.0)), np.linspace(0, 1, 20)
    whole = objective(TARGETS, LOGITS, tf.constant(rows, tf.float32))
    halves = [
        objective(TARGETS[part], LOGITS[part], tf.constant(rows[part], tf.float32)) for part in (slice(7), slice(7, None))
    ]
    for place in (0, 1):
        assert float(whole[place]) == pytest.approx(sum(float(half[place]) for half in halves), rel=1e-5)
