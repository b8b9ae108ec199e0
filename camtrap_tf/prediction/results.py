"""What prediction takes in and hands on: a capture with its pictures, and what the model says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from camtrap_tf.images.stored_form import StoredForm
from camtrap_tf.prediction.aggregation import MEAN, Combining, combine_frames
from camtrap_tf.records import Reject

Status = Literal["ok", "partial", "failed", "no_detection", "passed_over"]

NO_DETECTION: Final = "no_detection"
"""Reason and status of a picture in which a detector found nothing that is to be classified: no failure."""

PASSED_OVER: Final = "passed_over"
"""Status of a file of a folder that is no picture by its name: no failure."""

ERRORS_SHOWN = 3
"""Pictures of one record whose errors are spelt out in its row; the others are counted there."""


@dataclass(frozen=True, slots=True)
class Capture:
    """One record to predict: a picture of a folder, or all pictures of one id of a table.

    Attributes:
        id: unique in its source.
        paths: pictures in order, as they can be opened.
        problems: path → (reason, detail) for paths that are known to be unusable without opening them.
        meta_data: further columns of the table.
        read: gives the picture in stored form, where it is not the file as it lies there but, e.g., a crop of it.
        empty: why there is no picture to look at, where that is no fault.
        passed_over: (reason, detail) where it is a file of a folder that is no picture by its name; it has no paths.
    """

    id: str
    paths: tuple[str, ...]
    problems: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    meta_data: Mapping[str, str] = field(default_factory=dict)
    read: Callable[[StoredForm], bytes] | None = None
    empty: str | None = None
    passed_over: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PicturePrediction:
    """What the model says about one picture.

    Attributes:
        path: the picture.
        probabilities: label type → `[C]`; empty where the picture could not be used.
        problem: (reason code, detail) where it could not be used.
        logits: label type → `[C]`, where the pictures of a record are put together by them.
    """

    path: str
    probabilities: Mapping[str, np.ndarray] = field(default_factory=dict)
    problem: tuple[str, str] | None = None
    logits: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordPrediction:
    """What the model says about one record.

    Attributes:
        id: of the record.
        pictures: one per picture of the record, used or not.
        aggregated: label type → `[C]`; empty where no picture could be used.
        meta_data: as it came in.
        ground_truth: label type → class, or list of them for a sigmoid head, where it is known.
        problem: (reason code, detail) where the record itself is at fault, e.g. it has no picture.
        passed_over: whether that is because it is a file that is no picture by its name.
    """

    id: str
    pictures: tuple[PicturePrediction, ...]
    aggregated: Mapping[str, np.ndarray]
    meta_data: Mapping[str, str] = field(default_factory=dict)
    ground_truth: Mapping[str, str | list[str]] | None = None
    problem: tuple[str, str] | None = None
    passed_over: bool = False

    @property
    def status(self) -> Status:
        """`ok`; `partial` where some pictures could not be used; `failed` without any answer; `no_detection`; `passed_over`."""
        if self.passed_over:
            return PASSED_OVER
        if self.problem is not None and self.problem[0] == NO_DETECTION:
            return NO_DETECTION
        if not self.aggregated:
            return "failed"
        return "partial" if any(picture.problem for picture in self.pictures) else "ok"

    @property
    def error(self) -> str:
        """One line that says what went wrong, empty where nothing did."""
        if self.problem:
            return ": ".join(self.problem)
        bad = [picture for picture in self.pictures if picture.problem]
        alone = len(self.pictures) == 1
        said = [_sentence(picture, with_path=not alone) for picture in bad[:ERRORS_SHOWN]]
        if len(bad) > ERRORS_SHOWN:
            said.append(f"and {len(bad) - ERRORS_SHOWN} more pictures")
        return "; ".join(said)

    def rejects(self) -> tuple[Reject, ...]:
        """Returns a row of the rejects table for everything in this record that is at fault; none of what is passed over."""
        if self.status in (NO_DETECTION, PASSED_OVER):
            return ()
        if self.problem:
            return (Reject(self.id, self.id, "record", *self.problem),)
        return tuple(Reject(self.id, one.path, "picture", *one.problem) for one in self.pictures if one.problem)


def record_prediction(capture: Capture, pictures: Sequence[PicturePrediction], combining: Combining = MEAN) -> RecordPrediction:
    """Returns the prediction of a capture whose pictures are judged one by one; unusable ones are left out of it."""
    if capture.passed_over:
        return _passed_over(capture)
    answers = [picture.logits if combining.of_logits else picture.probabilities for picture in pictures]
    aggregated = combine_frames(answers, combining)
    return RecordPrediction(capture.id, tuple(pictures), aggregated, capture.meta_data, problem=_without_picture(capture))


def stacked_prediction(
    capture: Capture, pictures: Sequence[PicturePrediction], probabilities: Mapping[str, np.ndarray]
) -> RecordPrediction:
    """Returns the prediction of a capture whose usable pictures were one input of the model.

    Args:
        capture: the record.
        pictures: one per picture; those in use have no probabilities of their own.
        probabilities: label type → `[C]` of the whole capture; empty where no picture could be used.
    """
    if capture.passed_over:
        return _passed_over(capture)
    shared = tuple(PicturePrediction(one.path, {} if one.problem else probabilities, one.problem) for one in pictures)
    return RecordPrediction(capture.id, shared, dict(probabilities), capture.meta_data, problem=_without_picture(capture))


def _passed_over(capture: Capture) -> RecordPrediction:
    return RecordPrediction(capture.id, (), {}, capture.meta_data, problem=capture.passed_over, passed_over=True)


def _without_picture(capture: Capture) -> tuple[str, str] | None:
    if capture.empty is not None:
        return NO_DETECTION, capture.empty
    return None if capture.paths else ("no_picture", "the record names no picture")


def _sentence(picture: PicturePrediction, *, with_path: bool) -> str:
    reason, detail = picture.problem or ("", "")
    return f"{reason}: {picture.path}: {detail}" if with_path and picture.path not in detail else f"{reason}: {detail}"
