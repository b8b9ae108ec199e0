"""The part of the report that one head makes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from camtrap_tf.evaluation.heads import HeadTally

NAMES = ("1", "2", "11-50", "51+", "NA", "10", "9")


def sure(index: int, value: float = 0.97) -> np.ndarray:
    """Returns probabilities of a top class."""
    values = np.full(len(NAMES), (1 - value) / (len(NAMES) - 1))
    values[index] = value
    return values


def tally(**options) -> HeadTally:
    """Returns a tally of five records: two right, one off by a bin, one wrong, one unlabelled."""
    made = HeadTally("count", NAMES, **options)
    for target, answer, confidence, location in (
        (0, 0, 0.97, 0),
        (2, 2, 0.5, 0),
        (0, 1, 0.96, 1),
        (3, 0, 0.4, 1),
        (-1, 0, 0.99, 0),
    ):
        made.add(target, sure(answer, confidence), np.stack([sure(answer, confidence), sure(0, 0.6)]), location)
    return made


def test_report_of_a_head() -> None:
    """Every figure of a small head is what one counts by hand."""
    report = tally().report(["A", "B"])
    assert (report["n_records"], report["n_labelled"], report["n_missing"], report["n_right"]) == (5, 4, 1, 2)
    assert report["accuracy"] == 0.5
    assert report["baseline"] == {"class": "1", "accuracy": 0.5}
    bins = ["1", "2", "9", "10", "11-50", "51+"]  # none, none, one and five bins off
    assert report["within_one_bin"] == {"bins": bins, "accuracy": 0.75, "mean_error": 1.5}
    assert report["high_confidence"] == {"threshold": 0.95, "n": 2, "share": 0.5, "accuracy": 0.5}
    assert [(row["location"], row["n"], row["accuracy"]) for row in report["per_location"]] == [("A", 2, 1.0), ("B", 2, 0.0)]
    assert (report["pictures"]["n_labelled"], report["pictures"]["accuracy"]) == (8, 4 / 8)
    assert report["most_confused"][0] == {"class": "1", "predicted": "2", "n": 1, "share_of_class": 0.5}
    assert report["per_class"][0] == {
        "class": "1", "support": 2, "predicted": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5
    }  # fmt: skip


def test_unknown_classes_are_no_missing_labels() -> None:
    """Records of a class that the mapping lacks are told apart from records without the label."""
    made = tally()
    made.unknown["herd"] += 1
    report = made.report(["A", "B"])
    assert (report["n_missing"], report["n_unknown"], report["unknown_classes"]) == (0, 1, {"herd": 1})


@pytest.mark.parametrize("records", [0, 2])
def test_a_head_without_labels_is_empty_and_json(records: int) -> None:
    """A head with no labelled record has no figures, and the report is still JSON without NaN."""
    made = HeadTally("count", NAMES)
    for _ in range(records):
        made.add(-1, sure(0), sure(0)[None])
    report = made.report(["A", "B"])
    assert [report[key] for key in ("accuracy", "baseline", "macro_f1", "balanced_accuracy", "interval_95")] == [None] * 5
    json.dumps(report, allow_nan=False)


def test_locations_need_all_records_for_an_interval() -> None:
    """With locations of all labelled records known, there is an interval over locations, else none."""
    made = HeadTally("count", NAMES)
    for i in range(40):
        made.add(0, sure(i % 2), sure(i % 2)[None], i % 8)
    names = [str(i) for i in range(8)]
    low, high = made.report(names)["interval_95_over_locations"]
    assert low < 0.5 < high
    made.add(0, sure(0), sure(0)[None])
    assert made.report(names)["interval_95_over_locations"] is None
