"""Sigmoid heads, record by record, against scikit-learn over whole arrays."""

from __future__ import annotations

import tempfile
import tracemalloc

import numpy as np
import pytest
from sklearn import metrics

from camtrap_tf.errors import CamtrapError
from camtrap_tf.evaluation import precision
from camtrap_tf.evaluation.precision import AveragePrecisions
from camtrap_tf.evaluation.several import SeveralTally

CLASSES = ("lion", "zebra", "frog", "never")


def drawn(count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Returns truth and values of records, in which values are often equal and a class never occurs."""
    rng = np.random.default_rng(4)
    truth = rng.random((count, 4)) < (0.4, 0.2, 0.1, 0.0)
    values = (0.5 * truth + 0.7 * rng.random((count, 4))).clip(0, 1).round(2).astype(np.float32)
    return truth, values


def tallied(truth: np.ndarray, values: np.ndarray) -> dict:
    """Returns the report of records, every tenth of which is of an unknown class, with two pictures each."""
    tally = SeveralTally("species", CLASSES, blank="nothing")
    for number, (row, value) in enumerate(zip(truth, values, strict=True)):
        unknown = number % 10 == 9
        target = np.full(4, -1) if unknown else row.astype(np.int32)
        tally.add(target, value, np.stack([value, 1 - value]), number % 7)
        if unknown:
            tally.add_unknown(["unicorn"])
    return tally.report([f"place {number}" for number in range(7)])


@pytest.mark.parametrize("buffered", [4, 40, 1 << 20])
def test_average_precision(monkeypatch: pytest.MonkeyPatch, buffered: int) -> None:
    """Equal to scikit-learn's, however much is written at once; none where a class never occurs."""
    monkeypatch.setattr(precision, "BUFFERED_VALUES", buffered)
    truth, values = drawn()
    collected = AveragePrecisions(4)
    for row, value in zip(truth, values, strict=True):
        collected.add(row, value)
    expected = [metrics.average_precision_score(truth[:, i], values[:, i]) for i in range(3)]
    assert collected.result()[:3] == pytest.approx(expected)
    assert collected.result()[3] is None


def test_report_equals_scikit_learn() -> None:
    """Shares over records, answers and classes are those of whole arrays."""
    truth, values = drawn()
    report = tallied(truth, values)
    keep = np.arange(len(truth)) % 10 != 9
    truth, said = truth[keep], values[keep] >= 0.5
    assert (report["n_records"], report["n_labelled"], report["n_missing"], report["n_unknown"]) == (300, 270, 0, 30)
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(truth, said))
    assert report["micro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="micro"))
    assert report["label_accuracy"] == pytest.approx(1 - metrics.hamming_loss(truth, said))
    three = metrics.f1_score(truth, said, average=None, zero_division=0)
    occurs = truth.any(axis=0) | said.any(axis=0)
    assert report["macro_f1"] == pytest.approx(three[occurs].mean())
    for index, row in enumerate(report["per_class"][:3]):
        own = truth[:, index]
        scores = metrics.precision_recall_fscore_support(own, said[:, index], average="binary")
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(scores[:3])
        assert row["average_precision"] == pytest.approx(
            metrics.average_precision_score(truth[:, index], values[keep][:, index])
        )
    assert sum(row["n"] for row in report["per_location"]) == 270


def test_blank_is_an_answer() -> None:
    """Where no class reaches one half the answer is blank, under the name that the bundle has for it."""
    truth, values = drawn()
    report = tallied(truth, values)
    keep = np.arange(len(truth)) % 10 != 9
    nothing, said = ~truth[keep].any(axis=1), ~(values[keep] >= 0.5).any(axis=1)
    scores = metrics.precision_recall_fscore_support(nothing, said, average="binary")
    blank = report["blank"]
    assert blank["class"] == "nothing"
    assert (blank["support"], blank["predicted"]) == (nothing.sum(), said.sum())
    assert [blank["precision"], blank["recall"], blank["f1"]] == pytest.approx(scores[:3])


def test_most_frequent_set() -> None:
    """The baseline is the most frequent set of classes, by name; of nothing the blank."""
    rows = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 0]], bool)
    assert tallied(rows, rows.astype(np.float32))["baseline"]["class"] == "lion + frog"
    assert tallied(rows[2:], rows[2:].astype(np.float32))["baseline"] == {
        "class": "nothing", "accuracy": 1.0, "most_frequent_in": "evaluated records"
    }  # fmt: skip


def test_nothing_labelled() -> None:
    """Without a labelled record all shares are None."""
    report = SeveralTally("species", CLASSES, blank="nothing").report([])
    assert [report[key] for key in ("accuracy", "micro_f1", "macro_f1", "mean_average_precision", "baseline")] == [None] * 5


def test_memory_does_not_grow_with_probabilities() -> None:
    """Twenty thousand records of two hundred classes take 16 MB of values; far less of it is in memory, then and in the end."""
    tally = SeveralTally("species", [f"class {number}" for number in range(200)], blank="blank")
    rng = np.random.default_rng(0)
    rows, values = np.eye(200, dtype=np.int32), rng.random((50, 200), np.float32)
    tracemalloc.start()
    for number in range(20_000):
        value = values[number % 50]
        tally.add(rows[number % 200], value, value[None])
    tally.report([])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6


def test_no_room_for_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full temporary folder is an error that says where it is and what to do."""
    collected = AveragePrecisions(2)

    def full(*_: object) -> None:
        """Fails like a full disk."""
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(collected, "_file", type("Full", (), {"seek": full, "write": full})())
    collected.add(np.array([True, False]), np.ones(2))
    with pytest.raises(CamtrapError, match=rf"{tempfile.gettempdir()}: no room .*set TMPDIR"):
        collected.result()
