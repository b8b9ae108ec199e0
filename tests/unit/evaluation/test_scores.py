"""Measures compared with scikit-learn, and with counting by hand where it has none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from camtrap_tf.evaluation import scores

RNG = np.random.default_rng(5)
CLASSES = 6
TARGETS = RNG.integers(-1, CLASSES - 1, 400)  # -1 is missing; the last class never occurs
PREDICTED = np.where(RNG.random(400) < 0.6, np.maximum(TARGETS, 0), RNG.integers(0, CLASSES, 400))
KNOWN = TARGETS >= 0


@pytest.fixture
def confusion() -> np.ndarray:
    """Returns the confusion matrix of the drawn answers."""
    return scores.confusion_matrix(TARGETS, PREDICTED, CLASSES)


def test_confusion_matrix(confusion: np.ndarray) -> None:
    """The confusion matrix is scikit-learn's over labelled records."""
    wanted = metrics.confusion_matrix(TARGETS[KNOWN], PREDICTED[KNOWN], labels=range(CLASSES))
    np.testing.assert_array_equal(confusion, wanted)


def test_precision_recall_f1_per_class(confusion: np.ndarray) -> None:
    """Precision, recall, F1 and support are scikit-learn's; what is undefined there is NaN here."""
    ours = scores.class_scores(confusion)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        TARGETS[KNOWN], PREDICTED[KNOWN], labels=range(CLASSES), zero_division=np.nan
    )
    np.testing.assert_allclose(ours.precision, precision)
    np.testing.assert_allclose(ours.recall, recall)
    np.testing.assert_allclose(ours.f1, f1)
    np.testing.assert_array_equal(ours.support, support)


def test_macro_f1(confusion: np.ndarray) -> None:
    """Macro F1 is scikit-learn's: over classes that occur among labels or predictions."""
    wanted = metrics.f1_score(TARGETS[KNOWN], PREDICTED[KNOWN], average="macro")
    assert scores.macro_f1(scores.class_scores(confusion)) == pytest.approx(wanted)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_balanced_accuracy(confusion: np.ndarray) -> None:
    """Balanced accuracy is scikit-learn's: over classes that occur among labels."""
    wanted = metrics.balanced_accuracy_score(TARGETS[KNOWN], PREDICTED[KNOWN])
    assert scores.balanced_accuracy(scores.class_scores(confusion)) == pytest.approx(wanted)


def test_top_k() -> None:
    """The share of records with the truth among the five most likely classes is scikit-learn's."""
    probabilities = RNG.random((100, 9))
    targets = RNG.integers(0, 9, 100)
    ours = np.mean([scores.in_top_k(p, t) for p, t in zip(probabilities, targets, strict=True)])
    assert ours == pytest.approx(metrics.top_k_accuracy_score(targets, probabilities, k=5, labels=range(9)))


def test_top_k_counts_ties_by_index() -> None:
    """Of equal probabilities only the first k count, so a flat answer is not right for every class."""
    assert [scores.in_top_k(np.full(7, 1 / 7), target) for target in range(7)] == [True] * 5 + [False] * 2


@pytest.mark.parametrize(
    ("right", "n", "interval"), [(0, 10, (0.0, 0.27753)), (10, 10, (0.72247, 1.0)), (81, 263, (0.25529, 0.36621))]
)
def test_wilson_interval(right: int, n: int, interval: tuple[float, float]) -> None:
    """The interval holds exactly the shares that a score test at 5 % does not turn down."""
    low, high = scores.wilson_interval(right, n) or (np.nan, np.nan)
    assert (low, high) == pytest.approx(interval, abs=1e-5)
    for bound in (b for b in (low, high) if 0 < b < 1):
        assert abs(right / n - bound) / np.sqrt(bound * (1 - bound) / n) == pytest.approx(scores.Z_95, abs=1e-6)


def test_nothing_measured_has_no_score() -> None:
    """Without labelled records there is no score at all."""
    empty = scores.confusion_matrix(np.array([-1]), np.array([0]), 3)
    found = scores.class_scores(empty)
    assert scores.wilson_interval(0, 0) is None
    assert (scores.macro_f1(found), scores.balanced_accuracy(found)) == (None, None)
    assert scores.within_one_bin(empty, np.arange(3)) is None
    assert scores.most_confused(empty) == []
    assert scores.confidence_bins(np.array([]), np.array([])) == []


def test_count_bins_are_ordered_by_number() -> None:
    """Bins sort as numbers, not as texts; NA has no place among them."""
    names = ["1", "10", "11-50", "2", "51+", "NA"]
    order = scores.count_order(names)
    assert order is not None
    assert [names[i] for i in np.argsort(order)] == ["NA", "1", "2", "10", "11-50", "51+"]
    assert order[5] == -1


@pytest.mark.parametrize("names", [["cat", "dog", "1"], ["0", "1"], ["1", "2", "many"]])
def test_other_labels_have_no_bins(names: list[str]) -> None:
    """Names that are not counts, or too few of them, are not ordered."""
    assert scores.count_order(names) is None


def test_within_one_bin() -> None:
    """Neighbouring bins are right enough; NA only when it is NA."""
    names = ["1", "10", "11-50", "2", "51+", "NA"]
    order = scores.count_order(names)
    answers = [
        ("1", "2", 1),
        ("10", "11-50", 1),
        ("10", "2", 1),
        ("1", "10", 0),
        ("1", "51+", 0),
        ("NA", "1", 0),
        ("NA", "NA", 1),
    ]
    targets, predicted = (np.array([names.index(a[i]) for a in answers]) for i in (0, 1))
    share = scores.within_one_bin(scores.confusion_matrix(targets, predicted, 6), order)
    assert share == pytest.approx(sum(a[2] for a in answers) / len(answers))


def test_bootstrap_goes_by_group() -> None:
    """Where groups are all right or all wrong, the interval over groups is far wider than the one over records."""
    groups = np.repeat(np.arange(20), 100)
    right = groups % 2 == 0
    low, high = scores.bootstrap_interval(right, groups) or (0, 0)
    narrow_low, narrow_high = scores.wilson_interval(int(right.sum()), len(right)) or (0, 0)
    assert low < 0.5 < high
    assert high - low > 5 * (narrow_high - narrow_low)
    assert scores.bootstrap_interval(right[:300], groups[:300]) is None


def test_confidence_bins_hold_everyone() -> None:
    """Each record is in one tenth of confidence, 1.0 in the last."""
    confidence = np.array([0.0, 0.55, 0.59, 1.0])
    found = scores.confidence_bins(confidence, np.array([False, True, False, True]))
    assert [(b["from"], b["n"], b["accuracy"]) for b in found] == [(0.0, 1, 0.0), (0.5, 2, 0.5), (0.9, 1, 1.0)]


def test_most_confused_pairs() -> None:
    """Mistakes are listed by how often they happen; right answers never."""
    confusion = np.array([[9, 2, 0], [0, 9, 5], [1, 0, 9]])
    assert scores.most_confused(confusion, limit=2) == [(1, 2, 5), (0, 1, 2)]
    assert scores.class_order(confusion, limit=2).tolist() == [1, 2]


def test_mean_bin_error() -> None:
    """Distances are in bins, by their order; `NA` has no place and is left out."""
    order = scores.count_order(("51+", "1", "NA", "2"))
    confusion = np.zeros((4, 4), int)
    confusion[0, 1], confusion[1, 1], confusion[3, 0], confusion[2, 0] = 1, 2, 1, 9  # two bins, none, one, left out
    assert scores.mean_bin_error(confusion, order) == pytest.approx(3 / 4)
    assert scores.mean_bin_error(np.zeros((4, 4), int), order) is None
