"""Scores of heads: in the graph, on the host, and worked out with scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf

from camtrap_tf.models.heads import SOFTMAX, HeadSpec
from camtrap_tf.models.metrics import HeadScore, Scores, head_sums, row_sums

ORDINAL = HeadSpec("ordinal", order=(2, 0, 3, 1, 5, 4, 6))
SIGMOID = HeadSpec("sigmoid")


def make(spec: HeadSpec, rows: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns targets, logits and probabilities of seven classes."""
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(rows, 7)).astype("f") * 2
    if spec.kind == "sigmoid":
        targets = np.where(rng.random((rows, 1)) < 0.2, -1, rng.random((rows, 7)) < 0.3).astype("i4")
        return targets, logits, tf.math.sigmoid(logits).numpy()
    return rng.integers(-1, 7, rows).astype("i4"), logits, tf.nn.softmax(logits).numpy()


@pytest.mark.parametrize("spec", [SOFTMAX, ORDINAL, SIGMOID], ids=lambda spec: spec.kind)
def test_graph_and_host_agree(spec: HeadSpec) -> None:
    """Sums from logits in the graph equal those from probabilities on the host."""
    targets, logits, probabilities = make(spec)
    in_graph = head_sums(tf.constant(targets), tf.constant(logits), spec).numpy()
    np.testing.assert_allclose(in_graph, row_sums(targets, probabilities, spec), rtol=1e-4, atol=1e-5)


def test_one_class_a_row() -> None:
    """Plain scores are over rows, weighted ones over classes."""
    targets, _, probabilities = make(SOFTMAX)
    score = HeadScore()
    score.add_rows(targets[:20], probabilities[:20])
    score.add_rows(targets[20:], probabilities[20:])
    known = targets >= 0
    truth, given, values = targets[known], probabilities[known].argmax(axis=1), probabilities[known].astype(float)
    found = score.as_dict()
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, given))
    assert found["weighted_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(truth, given))
    assert found["top_k_accuracy"] == pytest.approx(sklearn.metrics.top_k_accuracy_score(truth, values, k=5, labels=range(7)))
    losses = -np.log(values[np.arange(len(truth)), truth])
    assert found["loss"] == pytest.approx(losses.mean())
    # the weights of MegaDetector's tools within the split: n / (classes * records of the class), then a weighted mean
    weights = len(truth) / (7 * np.bincount(truth)[truth])
    assert found["weighted_loss"] == pytest.approx(np.average(losses, weights=weights))
    assert found["weighted_accuracy"] == pytest.approx(np.average(truth == given, weights=weights))


def test_ordinal() -> None:
    """Distance is counted in bins, whatever their indices."""
    targets, _, probabilities = make(ORDINAL)
    score = HeadScore(ORDINAL)
    score.add_rows(targets, probabilities)
    known = targets >= 0
    place = {index: rank for rank, index in enumerate(ORDINAL.order)}
    away = [abs(place[t] - place[g]) for t, g in zip(targets[known], probabilities[known].argmax(axis=1), strict=True)]
    assert score.as_dict()["bin_error"] == pytest.approx(np.mean(away))
    assert score.as_dict()["within_one_bin"] == pytest.approx(np.mean(np.array(away) <= 1))


def test_sigmoid() -> None:
    """A row is right where all answers are; F1 over all answers, and over classes."""
    targets, _, probabilities = make(SIGMOID)
    score = HeadScore(SIGMOID)
    score.add_rows(targets[:30], probabilities[:30])
    score.add_rows(targets[30:], probabilities[30:])
    known = targets[:, 0] >= 0
    truth, given = targets[known], (probabilities[known] >= 0.5).astype(int)
    found = score.as_dict()
    assert score.labelled == known.sum()
    assert found["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(truth, given))
    assert found["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(truth, given, average="macro"))
    assert found["micro_f1"] == pytest.approx(sklearn.metrics.f1_score(truth, given, average="micro"))
    expected = np.mean([sklearn.metrics.log_loss(truth[:, c], probabilities[known][:, c], labels=[0, 1]) for c in range(7)])
    assert found["loss"] == pytest.approx(expected, rel=1e-5)


def test_counts_equal_sorting() -> None:
    """Top 1 and top 2 counts equal those found by sorting each labelled row."""
    rng = np.random.default_rng(1)
    scores, targets = rng.normal(size=(50, 6)).astype("f"), rng.integers(-1, 6, 50)
    order = np.argsort(-scores, axis=1)
    top = [sum(t >= 0 and t in row[:k] for t, row in zip(targets, order, strict=True)) for k in (1, 2)]
    counted = head_sums(tf.constant(targets), tf.constant(scores), k=2).numpy().sum(axis=0)
    assert counted[2:4].tolist() == top


def test_k_above_the_number_of_classes() -> None:
    """With two classes, every labelled row is among the top five."""
    counted = head_sums(tf.constant([0, 1, -1]), tf.constant([[0.1, 0.9], [0.1, 0.9], [0.5, 0.5]])).numpy().sum(axis=0)
    assert counted[1:4].tolist() == [2, 1, 2]


def test_nan_is_never_right() -> None:
    """A row of NaN is wrong, not first; as a missing row it leaves no trace."""
    nan = tf.constant([[float("nan")] * 3])
    assert head_sums(tf.constant([0]), nan).numpy()[0, 1:4].tolist() == [1, 0, 0]
    assert not head_sums(tf.constant([-1]), nan).numpy().any()


def test_row_weights() -> None:
    """A row of weight one half counts half."""
    targets, logits, _ = make(SOFTMAX)
    whole = head_sums(tf.constant(targets), tf.constant(logits)).numpy()
    half = head_sums(tf.constant(targets), tf.constant(logits), weights=tf.fill([60], 0.5)).numpy()
    np.testing.assert_allclose(whole, 2 * half, rtol=1e-6)


def test_batch_without_labels_does_not_drag_the_mean() -> None:
    """An unlabelled batch leaves the scores of the epoch as they were."""
    score = HeadScore()
    score.add_rows(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]))
    before = score.as_dict()
    score.add_rows(np.array([-1, -1]), np.full((2, 2), 0.5))
    assert score.as_dict() == before
    assert before["accuracy"] == pytest.approx(2 / 3)
    assert before["weighted_accuracy"] == pytest.approx(0.75)


@pytest.mark.parametrize("spec", [SOFTMAX, ORDINAL, SIGMOID], ids=lambda spec: spec.kind)
def test_no_label_at_all_has_no_accuracy(spec: HeadSpec) -> None:
    """Without a labelled row shares are unknown, not 0; before and after rows without labels."""
    empty, seen = HeadScore(spec), HeadScore(spec)
    seen.add(np.zeros((7, 6)))
    for score in (empty, seen):
        found = score.as_dict()
        assert found.pop("loss") == 0.0
        found.pop("weighted_loss", None)
        assert set(found.values()) == {None}
    assert empty.as_dict().keys() == seen.as_dict().keys()


def test_total_loss_is_weighted() -> None:
    """The total is the weighted sum of the heads plus the penalty."""
    heads = {"a": HeadScore(sums=np.array([[6.0, 3, 0, 0, 0, 0]])), "b": HeadScore(sums=np.array([[4.0, 1, 0, 0, 0, 0]]))}
    assert Scores(heads, regularisation=0.25).total_loss({"a": 1.0, "b": 0.5}) == pytest.approx(2 + 2 + 0.25)
