"""Pictures through the model: files of captures, and frames of records in shards. Both stream, in order.

A file is brought to stored form first, so that the model sees the bytes that a shard would hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from camtrap_tf.errors import ModelError, PictureError
from camtrap_tf.executors import map_in_threads
from camtrap_tf.images.stored_form import StoredForm, read_stored
from camtrap_tf.input_pipeline.batches import STACKED_FRAMES, stored_batches
from camtrap_tf.input_pipeline.preprocessing import Preprocessing
from camtrap_tf.prediction.aggregation import MEAN, Combining
from camtrap_tf.prediction.results import (
    Capture,
    PicturePrediction,
    RecordPrediction,
    record_prediction,
    stacked_prediction,
)

Answers = Callable[[Any], Mapping[str, np.ndarray]]
"""From model inputs float32 `[B, H, W, 3]` in 0…255 to label type → `[B, C]`: probabilities, or logits where frames are put
together by them (`Bundle.answers`)."""

UNDECODABLE = ("unreadable", "decoded to nothing")


def predict_captures(
    model: Answers,
    preprocessing: Preprocessing,
    captures: Iterable[Capture],
    *,
    batch_size: int,
    combining: Combining = MEAN,
    threads: int | None = None,
) -> Iterator[RecordPrediction]:
    """Yields what the model says about each capture, in order, as soon as it is known.

    Files are read and brought to stored form in threads, some ahead of the model; only the pictures of about two
    batches are in memory at any time. A picture that cannot be used costs its capture that picture, nothing else.

    Args:
        model: gives what `combining` asks for.
        preprocessing: how pictures become its inputs.
        captures: what to predict; read lazily.
        batch_size: pictures at once (captures, where their pictures are stacked into one input).
        combining: how the pictures of a capture become one answer.
        threads: threads that read and decode; one per core where not given.

    Raises:
        ModelError: the model answers with what is no number.
    """
    reader = _Reader(captures, preprocessing, threads)
    for batch in stored_batches(reader.inputs(), preprocessing, batch_size=batch_size, threads=threads):
        answers = _sound(model(batch["images"]))
        for i, valid in enumerate(batch["valid"].numpy()):
            reader.answer({label: values[i] for label, values in answers.items()} if valid else None)
        yield from reader.finished(combining)
    if reader.failure is not None:
        raise reader.failure
    yield from reader.finished(combining)


@dataclass
class _Open:
    """A capture under way. The reading thread writes `read`, `asked` and `closed`, the model's thread `answers`."""

    capture: Capture
    read: list[PicturePrediction | None] = field(default_factory=list)  # None: was handed to the model
    asked: int = 0
    answers: list[Mapping[str, np.ndarray] | None] = field(default_factory=list)  # None: could not be decoded
    closed: bool = False


class _Reader:
    """Hands pictures of captures to the model and takes its answers, both in order; keeps what is between."""

    def __init__(self, captures: Iterable[Capture], preprocessing: Preprocessing, threads: int | None) -> None:
        self.failure: Exception | None = None
        self._captures = captures
        self._form = preprocessing.stored_form or StoredForm()
        self._stacked = preprocessing.stacked
        self._threads = threads
        self._open: deque[_Open] = deque()
        self._asked: deque[_Open] = deque()

    def inputs(self) -> Iterator[bytes | Sequence[bytes]]:
        """Yields the JPEG of each usable picture; the first ones of each capture together where these are stacked."""
        try:
            yield from self._inputs()
        except Exception as err:  # tf.data would turn it into one of its own; predict_captures raises it again
            self.failure = err

    def answer(self, values: Mapping[str, np.ndarray] | None) -> None:
        """Takes the answer to the oldest input that has none."""
        self._asked.popleft().answers.append(values)

    def finished(self, combining: Combining) -> Iterator[RecordPrediction]:
        """Yields the captures at the front that are complete."""
        while self._open and self._open[0].closed and len(self._open[0].answers) == self._open[0].asked:
            done = self._open.popleft()
            yield _stacked(done, combining) if self._stacked else _separate(done, combining)

    def _inputs(self) -> Iterator[bytes | Sequence[bytes]]:
        current: _Open | None = None
        frames: list[bytes] = []
        for capture, path, jpeg, problem in map_in_threads(self._read, self._tasks(), workers=self._threads):
            if current is None:
                current = _Open(capture)
                self._open.append(current)
            if path is not None:
                current.read.append(PicturePrediction(path, problem=problem) if problem else None)
            if jpeg is not None and self._stacked:
                frames = [*frames, jpeg][:STACKED_FRAMES]
            elif jpeg is not None:
                yield self._ask(current, jpeg)
            if len(current.read) == len(capture.paths):
                if frames:
                    yield self._ask(current, frames)
                    frames = []
                current.closed, current = True, None

    def _ask(self, current: _Open, picture: bytes | Sequence[bytes]) -> bytes | Sequence[bytes]:
        current.asked += 1
        self._asked.append(current)
        return picture

    def _tasks(self) -> Iterator[tuple[Capture, str | None]]:
        for capture in self._captures:
            yield from ((capture, path) for path in capture.paths or (None,))

    def _read(self, task: tuple[Capture, str | None]) -> tuple[Capture, str | None, bytes | None, tuple[str, str] | None]:
        capture, path = task
        if path is None:
            return capture, None, None, None
        if path in capture.problems:
            return capture, path, None, capture.problems[path]
        try:
            read = capture.read or partial(read_stored, Path(path))
            return capture, path, read(self._form), None
        except PictureError as err:
            return capture, path, None, (err.reason, err.detail)


def _separate(done: _Open, combining: Combining) -> RecordPrediction:
    answers = iter(done.answers)
    pictures = []
    for path, read in zip(done.capture.paths, done.read, strict=True):
        if read is None:
            values = next(answers)
            read = PicturePrediction(path, problem=UNDECODABLE) if values is None else _answered(path, values, combining)
        pictures.append(read)
    return record_prediction(done.capture, pictures, combining)


def _answered(path: str, answers: Mapping[str, np.ndarray], combining: Combining) -> PicturePrediction:
    probabilities = {label: combining.probabilities(label, values) for label, values in answers.items()}
    return PicturePrediction(path, probabilities, logits=answers if combining.of_logits else {})


def _stacked(done: _Open, combining: Combining) -> RecordPrediction:
    values = done.answers[0] if done.answers else None
    problem = UNDECODABLE if done.answers and values is None else None
    pictures = [
        read or PicturePrediction(path, problem=problem) for path, read in zip(done.capture.paths, done.read, strict=True)
    ]
    found = {label: combining.probabilities(label, one) for label, one in (values or {}).items()}
    return stacked_prediction(done.capture, pictures, found)


@dataclass(frozen=True, slots=True)
class RecordFrames:
    """What the model says about one record of a shard set.

    Attributes:
        record: its number.
        targets: label type → class index, -1 where missing or not in the mapping; of sigmoid heads a row of `[C]`.
        probabilities: label type → `[frames, C]` of the frames that could be decoded, maybe none.
        undecodable: frames that could not.
        event: label type → `[C]` over all frames; None where none could be decoded.
    """

    record: int
    targets: Mapping[str, int | np.ndarray]
    probabilities: Mapping[str, np.ndarray]
    undecodable: int
    event: Mapping[str, np.ndarray | None]


def predict_records(
    model: Answers, batches: Iterable[Mapping[str, Any]], combining: Combining = MEAN
) -> Iterator[RecordFrames]:
    """Yields what the model says about each record, in order; training and evaluation both measure with it.

    Args:
        model: gives what `combining` asks for.
        batches: of `evaluation_batches`: all frames of all records, in order. A label type that a batch has no targets
            of is missing everywhere.
        combining: how the answers to the frames of a record become one.
    """
    number: int | None = None
    targets: dict[str, int | np.ndarray] = {}
    parts: dict[str, list[np.ndarray]] = {}
    undecodable = 0
    for batch in batches:
        answers = _sound(model(batch["images"]))
        records, valid = np.asarray(batch["records"]), np.asarray(batch["valid"])
        of_batch = {label: np.asarray(values) for label, values in batch["targets"].items()}
        starts = np.flatnonzero(np.diff(records, prepend=-1)) if len(records) else np.zeros(0, int)
        for start, end in zip(starts, [*starts[1:], len(records)], strict=True):
            if records[start] != number:
                if number is not None:
                    yield _record_frames(number, targets, _joined(parts), undecodable, combining)
                number, undecodable = int(records[start]), 0
                targets = dict.fromkeys(answers, -1)
                parts = {label: [] for label in answers}
            here = valid[start:end]
            undecodable += int((~here).sum())
            if here.any():  # frames that could not be decoded have no targets
                first = start + int(np.argmax(here))
                targets.update({label: _plain(values[first]) for label, values in of_batch.items() if label in targets})
            for label, values in answers.items():
                parts[label].append(values[start:end][here])
    if number is not None:
        yield _record_frames(number, targets, _joined(parts), undecodable, combining)


def _record_frames(
    number: int,
    targets: Mapping[str, int | np.ndarray],
    answers: Mapping[str, np.ndarray],
    undecodable: int,
    combining: Combining,
) -> RecordFrames:
    frames = {label: combining.probabilities(label, values) for label, values in answers.items()}
    event = {label: combining.combined(label, values) if len(values) else None for label, values in answers.items()}
    return RecordFrames(number, targets, frames, undecodable, event)


def _plain(target: np.ndarray) -> int | np.ndarray:
    return target if target.ndim else int(target)


def _sound(answers: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    for label, values in answers.items():
        if not np.isfinite(values).all():
            raise ModelError(
                f"the model's answers for {label!r} are not numbers; its training went astray, take an earlier epoch"
            )
    return answers


def _joined(parts: Mapping[str, Sequence[np.ndarray]]) -> dict[str, np.ndarray]:
    return {label: np.concatenate(values) for label, values in parts.items()}
