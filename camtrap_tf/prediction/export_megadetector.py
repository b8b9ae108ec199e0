"""Predictions as MegaDetector results JSON, format 1.6, which Timelapse, AddaxAI and others read.

A picture that was classified as a whole gets one detection that covers it: of the category with most probability among
animal, person and vehicle, with that probability as its confidence, so that thresholds of other tools tell blank pictures.
Source: MegaDetector output format, https://lila.science/megadetector-output-format.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from camtrap_tf.detections.megadetector import KNOWN_VERSIONS
from camtrap_tf.files import atomic_file, json_line
from camtrap_tf.prediction.aggregation import best_answer
from camtrap_tf.prediction.export_boxes import PredictedBox, box_of
from camtrap_tf.prediction.export_classes import BLANK, HUMAN, VEHICLE, Meaning
from camtrap_tf.prediction.export_model import ModelFacts
from camtrap_tf.prediction.export_pictures import relative_path
from camtrap_tf.prediction.results import NO_DETECTION, PicturePrediction, RecordPrediction

FORMAT_VERSION = KNOWN_VERSIONS[-1]
CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
_CATEGORY_OF = {HUMAN: "2", VEHICLE: "3"}
WHOLE = (0.0, 0.0, 1.0, 1.0)
NO_DETECTOR = "none: whole pictures are classified"
"""Name of the detector where there was none; without any, tools assume MegaDetector 4."""
UNKNOWN_DETECTOR = "unknown"
"""Its name where there are boxes, and nothing says what found them."""
DECIMALS = 4


@contextmanager
def megadetector_file(
    path: Path,
    model: ModelFacts,
    meanings: Mapping[str, Meaning],
    *,
    root: Path | None = None,
    min_confidence: float = 0.0,
    detector: str | None = None,
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> Iterator[Callable[[RecordPrediction], None]]:
    """Gives a function that adds the pictures of one record.

    Boxes of one picture have to come one after the other. Classes are those of the species label.

    Args:
        path: file to write, whole or not at all.
        model: what made the predictions.
        meanings: class of the species label → what it means.
        root: folder that `file` is relative to.
        min_confidence: classes below it are left out of `classifications`.
        detector: name of the detector that found the boxes; None: as the records say.
        now: the clock.
    """
    names = model.names(model.species)
    writer = _Pictures(model, meanings, {name: str(i) for i, name in enumerate(names)}, root, min_confidence)
    with atomic_file(path, "w", errors="backslashreplace") as file:
        file.write('{\n"images": [')
        first = True

        def put(entries: Iterator[dict[str, Any]]) -> None:
            """Writes entries of `images`, one a line."""
            nonlocal first
            for entry in entries:
                file.write(("\n" if first else ",\n") + json_line(entry))
                first = False

        yield lambda record: put(writer.entries(record))
        put(writer.last())
        others = {
            "detection_categories": CATEGORIES,
            "classification_categories": {str(i): name for i, name in enumerate(names)},
            "classification_category_descriptions": {str(i): meanings[name].described(name) for i, name in enumerate(names)},
            "info": _info(model, detector or writer.detector, now()),
        }
        file.write("\n]" + "".join(f",\n{json_line(key)}: {json_line(value)}" for key, value in others.items()) + "\n}\n")


class _Pictures:
    """Makes entries of `images`; keeps the one whose boxes are coming in.

    Attributes:
        detector: what found the boxes that came in so far.
    """

    def __init__(
        self,
        model: ModelFacts,
        meanings: Mapping[str, Meaning],
        ids: Mapping[str, str],
        root: Path | None,
        min_confidence: float,
    ) -> None:
        """Takes what the predictions are of, and the ids of classes."""
        self._model, self._meanings, self._ids = model, meanings, ids
        self._root, self._least = root, min_confidence
        self._open: dict[str, Any] | None = None
        self.detector = NO_DETECTOR

    def entries(self, record: RecordPrediction) -> Iterator[dict[str, Any]]:
        """Yields the entries that are complete now that this record is there."""
        box = box_of(record)
        if box is None:
            yield from self.last()
            for picture in record.pictures:
                yield self._whole(picture)
            return
        if self.detector in (NO_DETECTOR, UNKNOWN_DETECTOR):
            self.detector = box.detector or UNKNOWN_DETECTOR
        file = relative_path(box.file, self._root)
        if self._open is None or self._open["file"] != file:
            yield from self.last()
            self._open = {"file": file, "detections": []}
        self._add(self._open, box)

    def last(self) -> Iterator[dict[str, Any]]:
        """Yields the entry whose boxes were coming in."""
        if self._open is not None:
            yield self._open
            self._open = None

    def _add(self, entry: dict[str, Any], box: PredictedBox) -> None:
        """Adds a box to its picture; a picture without one stays empty, one that failed says why."""
        problem = box.picture.problem
        if box.numbers is not None and entry["detections"] is not None:
            category = next((key for key, name in CATEGORIES.items() if name == box.category), "1")
            detection = {"category": category, "conf": _rounded(box.confidence), "bbox": [round(n, 6) for n in box.numbers]}
            if self._model.species in box.picture.probabilities:
                detection["classifications"] = self._classifications(box.picture.probabilities[self._model.species])
            entry["detections"].append(detection)
        elif problem and problem[0] != NO_DETECTION and not box.lost_box and not entry["detections"]:
            entry["failure"], entry["detections"] = ": ".join(problem), None

    def _whole(self, picture: PicturePrediction) -> dict[str, Any]:
        """Returns the entry of a picture that was classified as a whole."""
        file = relative_path(picture.path, self._root)
        if self._model.species not in picture.probabilities:
            reason = ": ".join(picture.problem or ("unusable", "it has no prediction"))
            return {"file": file, "failure": reason, "detections": None}
        values = picture.probabilities[self._model.species]
        category, confidence = self._category(values)
        detection = {
            "category": category,
            "conf": _rounded(confidence),
            "bbox": list(WHOLE),
            "classifications": self._classifications(values),
        }
        return {"file": file, "detections": [detection]}

    def _category(self, values: np.ndarray) -> tuple[str, float]:
        """Returns the likeliest of animal, person and vehicle, and its confidence.

        Probabilities of classes that exclude each other are added up; of a sigmoid head the largest counts.
        """
        several = self._model.species in self._model.blanks
        chances = dict.fromkeys(CATEGORIES, 0.0)
        for name, value in zip(self._model.class_names[self._model.species], values, strict=True):
            kind = self._meanings[name].kind
            if kind == BLANK:
                continue
            category = _CATEGORY_OF.get(kind, "1")
            chances[category] = max(chances[category], float(value)) if several else chances[category] + float(value)
        best = max(chances, key=lambda key: chances[key])
        return best, min(1.0, chances[best])

    def _classifications(self, values: np.ndarray) -> list[list[Any]]:
        """Returns `[[id, confidence]]`, best first; at least the best one."""
        names, blank = self._model.class_names[self._model.species], self._model.blanks.get(self._model.species)
        found = {name: float(value) for name, value in zip(names, values, strict=True)}
        top, confidence = best_answer(values, names, blank)
        found[top] = max(confidence, found.get(top, 0.0))
        listed = sorted(found.items(), key=lambda one: (-one[1], one[0] != top))
        return [[self._ids[name], _rounded(chance)] for name, chance in listed if chance >= self._least or name == top]


def _rounded(value: float) -> float:
    """Returns a confidence to four decimals, inside [0, 1]."""
    return min(1.0, max(0.0, round(float(value), DECIMALS)))


def _info(model: ModelFacts, detector: str, now: dt.datetime) -> dict[str, str]:
    """Returns the member `info`."""
    made = {"format_version": FORMAT_VERSION, "detector": detector}
    if model.classifier is not None:
        made["classifier"] = model.classifier
    return {**made, "classification_completion_time": now.strftime("%Y-%m-%d %H:%M:%S")}
