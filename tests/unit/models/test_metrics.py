"""Masked accuracy and top-k accuracy."""

import numpy as np
import pytest
import tensorflow as tf

from camtrap_tf.models.metrics import HeadScore, Scores, correct_counts


def test_counts_equal_sorting() -> None:
    """Top 1 and top 2 counts equal those found by sorting each labelled row."""
    rng = np.random.default_rng(1)
    scores, targets = rng.normal(size=(50, 6)).astype("f"), rng.integers(-1, 6, 50)
    order = np.argsort(-scores, axis=1)
    top = [sum(t >= 0 and t in row[:k] for t, row in zip(targets, order, strict=True)) for k in (1, 2)]
    counted = correct_counts(tf.constant(targets), tf.constant(scores), k=2)
    assert [float(value) for value in counted] == top


def test_k_above_the_number_of_classes() -> None:
    """With two classes, every labelled row is among the top five."""
    top1, top5 = correct_counts(tf.constant([0, 1, -1]), tf.constant([[0.1, 0.9], [0.1, 0.9], [0.5, 0.5]]))
    assert (float(top1), float(top5)) == (1.0, 2.0)


def test_nan_is_never_right() -> None:
    """A row of NaN is wrong, not first."""
    assert [float(v) for v in correct_counts(tf.constant([0]), tf.constant([[float("nan")] * 3]))] == [0.0, 0.0]


def test_batch_without_labels_does_not_drag_the_mean() -> None:
    """An unlabelled batch leaves the accuracy of the epoch as it was."""
    score = HeadScore()
    score.add(np.array([2.0, 4, 3, 4]))
    before = score.as_dict()
    score.add(np.zeros(4))
    assert score.as_dict() == before == {"loss": 0.5, "accuracy": 0.75, "top_k_accuracy": 1.0}


def test_no_label_at_all_has_no_accuracy() -> None:
    """Without a labelled row accuracy is unknown, not 0."""
    assert HeadScore().as_dict() == {"loss": 0.0, "accuracy": None, "top_k_accuracy": None}


def test_rows_of_probabilities_agree_with_logits() -> None:
    """Scores from probabilities on the host equal those counted from logits in the graph."""
    rng = np.random.default_rng(5)
    logits, targets = rng.normal(size=(30, 7)).astype("f"), rng.integers(-1, 7, 30)
    score = HeadScore()
    score.add_rows(targets, tf.nn.softmax(logits).numpy())
    top1, top5 = correct_counts(tf.constant(targets), tf.constant(logits))
    assert (score.correct, score.correct_top_k, score.labelled) == (float(top1), float(top5), (targets >= 0).sum())


def test_total_loss_is_weighted() -> None:
    """The total is the weighted sum of the heads plus the penalty."""
    scores = Scores({"a": HeadScore(6.0, 3), "b": HeadScore(4.0, 1)}, regularisation=0.25)
    assert scores.total_loss({"a": 1.0, "b": 0.5}) == pytest.approx(2 + 2 + 0.25)
