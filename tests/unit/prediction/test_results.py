"""Status and error of a record follow from its pictures."""

from __future__ import annotations

import numpy as np

from camtrap_tf.prediction.results import Capture, PicturePrediction, record_prediction, stacked_prediction

GOOD = {"species": np.array([0.25, 0.75])}
BAD = ("truncated", "ends early")


def test_one_good_picture_makes_a_partial_record() -> None:
    """A record with one usable picture of two is reported from that one, and says what happened to the other."""
    pictures = [PicturePrediction("a.jpg", problem=BAD), PicturePrediction("b.jpg", GOOD)]
    record = record_prediction(Capture("e1", ("a.jpg", "b.jpg")), pictures)
    assert (record.status, record.error) == ("partial", "truncated: a.jpg: ends early")
    assert record.aggregated["species"].tolist() == GOOD["species"].tolist()
    assert [reject.row() for reject in record.rejects()] == [("e1", "a.jpg", "picture", *BAD)]


def test_no_good_picture_makes_a_failed_record() -> None:
    """A record without a usable picture has no prediction and a reason."""
    record = record_prediction(Capture("e1", ("a.jpg",)), [PicturePrediction("a.jpg", problem=BAD)])
    assert (record.status, record.error, dict(record.aggregated)) == ("failed", "truncated: ends early", {})


def test_a_record_without_pictures_fails() -> None:
    """An id whose picture cells are all empty is a failed record, not a lost one."""
    record = record_prediction(Capture("e1", ()), [])
    assert record.status == "failed"
    assert record.rejects()[0].reason == "no_picture"


def test_many_errors_are_counted() -> None:
    """Beyond three pictures the errors are counted instead of spelt out."""
    names = [f"{i}.jpg" for i in range(9)]
    record = record_prediction(Capture("e", tuple(names)), [PicturePrediction(n, problem=BAD) for n in names])
    assert record.error.endswith("; and 6 more pictures")
    assert len(record.rejects()) == 9


def test_a_stacked_capture_shares_its_prediction() -> None:
    """Pictures that were one input share its probabilities; the unusable one has none."""
    pictures = [PicturePrediction("a.jpg"), PicturePrediction("b.jpg", problem=BAD)]
    record = stacked_prediction(Capture("e1", ("a.jpg", "b.jpg")), pictures, GOOD)
    assert record.status == "partial"
    assert [len(picture.probabilities) for picture in record.pictures] == [1, 0]
