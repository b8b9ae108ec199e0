"""MegaDetector results as picture tables: an observation per detection, with the class of a classifier where one ran."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from camtrap_tf.config.picture_sources import MegadetectorInventoryConfig
from camtrap_tf.detections.megadetector import DetectedPicture, Detection, MegadetectorDocument, left_out_text
from camtrap_tf.errors import counted
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import without_collector
from camtrap_tf.sources.picture_files import is_example_path
from camtrap_tf.sources.picture_records import PictureSource
from camtrap_tf.sources.picture_tables import (
    VIDEO,
    PictureTables,
    folders_of,
    numbered_twins,
    picture_reject,
    picture_table,
    seen_table,
    texts,
)

DETECTION = "detection"
"""Label type: what the detector saw, by the names in its file."""

SPECIES = "species"
EMPTY = "empty"
"""Class of pictures in which the detector found nothing."""

THRESHOLD = 0.2
CLASSIFICATION_THRESHOLD = 0.5
"""Thresholds where neither the user nor the file names one."""


class MegadetectorSource(PictureSource):
    """Reads a MegaDetector results file."""

    def __init__(self, config: MegadetectorInventoryConfig) -> None:
        """Keeps what is to be read, and how."""
        super().__init__(config)
        self.settings = config

    def tables(self) -> PictureTables:
        """Reads the file; see `PictureSource.tables`.

        Raises:
            SourceError: it cannot be read.
        """
        with without_collector():
            document = MegadetectorDocument.read(self.config.path)
            return _Reading(document, self.settings).tables()


class _Reading:
    """Turns the entries of a file into columns, one after the other."""

    def __init__(self, document: MegadetectorDocument, config: MegadetectorInventoryConfig) -> None:
        """Keeps what is to be read, and how."""
        self.document = document
        self.config = config
        self.rejects: list[Reject] = []
        self.pictures: list[DetectedPicture] = []
        self.lost: list[bool] = []
        self.rows: list[int] = []
        self.items: list[str] = []
        self.boxes: list[tuple[float, float, float, float]] = []
        self.confidences: list[float] = []
        self.classes: dict[str, list[str | None]] = {
            DETECTION: [],
            **({SPECIES: []} if document.classification_categories else {}),
        }
        self.below = 0
        self.threshold, said = _choose(config.threshold, document.typical_threshold(), THRESHOLD)
        self.class_threshold, class_said = _choose(
            config.classification_threshold, document.typical_threshold("classification"), CLASSIFICATION_THRESHOLD
        )
        self.notes = [*document.notes, f"detections from confidence {self.threshold:g} on count ({said})"]
        if SPECIES in self.classes:
            self.notes.append(f"classes from confidence {self.class_threshold:g} on count ({class_said})")

    def tables(self) -> PictureTables:
        """Returns the tables of all entries."""
        read = Counter[str]()
        for picture in self.document.pictures():
            if isinstance(picture, Reject):
                self.rejects.append(picture)
            else:
                self._add(picture, read)
        bad, videos = read["rejected"], read["in videos"]
        said = f"{read['sure']} that count + {self.below} below + {bad} rejected" + (f" + {videos} in videos" if videos else "")
        self.notes.append(f"{counted(read['sure'] + self.below + bad + videos, 'detection')} = {said}")
        self.notes += left_out_text(one for picture in self.pictures for one in picture.detections)
        columns = {name: pa.array(values, pa.string()) for name, values in self.classes.items()}
        seen = seen_table(
            items=pa.array(self.items, pa.string()), picture=np.array(self.rows, np.int64), labels=columns,
            boxes=np.array(self.boxes, np.float64).reshape(-1, 4), confidences=np.array(self.confidences, np.float64),
        )  # fmt: skip
        return PictureTables(
            pictures=self._picture_table(), seen=seen, per_event=False, main_label=DETECTION,
            lost=np.array(self.lost, bool), rejects=self.rejects, pictures_read=len(self.document.images),
            seen_read=len(self.rows) + bad, notes=self.notes,
        )  # fmt: skip

    def _add(self, picture: DetectedPicture, read: Counter[str]) -> None:
        """Takes a picture with its detections, or rejects it."""
        problem = picture_problem(picture)
        if problem is not None:
            self.rejects.append(picture_reject(picture.file, picture.item, *problem))
            read["in videos"] += (len(picture.detections) + len(picture.rejects)) * (problem[0] == VIDEO)
            return
        row = len(self.pictures)
        self.pictures.append(picture)
        self.lost.append(bool(picture.rejects))
        self.rejects.extend(picture.rejects)
        read["rejected"] += len(picture.rejects)
        sure = [one for one in picture.detections if one.confidence is None or one.confidence >= self.threshold]
        self.below += len(picture.detections) - len(sure)
        for detection in sure:
            self._see(row, picture, detection)
        read["sure"] += len(sure)
        if not sure and not picture.rejects:
            self._put(row, picture.item, (np.nan,) * 4, np.nan, EMPTY, None)

    def _see(self, row: int, picture: DetectedPicture, detection: Detection) -> None:
        """Takes a detection as an observation."""
        box = detection.box
        best = detection.classifications[0] if detection.classifications else None
        species = best[0] if best is not None and best[1] >= self.class_threshold else None
        item = f"{picture.item}, detection {detection.place + 1}"
        sure = np.nan if detection.confidence is None else detection.confidence
        self._put(row, item, (box.x, box.y, box.width, box.height), sure, detection.category, species)

    def _put(
        self, row: int, item: str, box: tuple[float, float, float, float], sure: float, category: str, species: str | None
    ) -> None:
        """Adds a row to the observations."""
        self.rows.append(row)
        self.items.append(item)
        self.boxes.append(box)
        self.confidences.append(sure)
        self.classes[DETECTION].append(category)
        if SPECIES in self.classes:
            self.classes[SPECIES].append(species)

    def _picture_table(self) -> pa.Table:
        """Returns the table of the pictures that were taken."""
        entries = [picture.entry for picture in self.pictures]
        files = [picture.file for picture in self.pictures]
        given = [entry.get("location") for entry in entries]
        places = self.config.location_from_path
        location = [
            one if one is not None or not places else folders_of(file, places) for one, file in zip(given, files, strict=True)
        ]
        return picture_table(
            items=pa.array([picture.item for picture in self.pictures], pa.string()),
            ids=texts(numbered_twins(files)),
            paths=pa.array(files, pa.string()),
            columns={
                "location": texts(location),
                "event": texts([entry.get("seq_id") for entry in entries]),
                "time": texts([entry.get("datetime") for entry in entries]),
            },
            meta={
                "detection_confidence": pa.array([_best(picture) for picture in self.pictures], pa.string()),
            },
        )


def _choose(wish: float | None, typical: float | None, default: float) -> tuple[float, str]:
    """Returns a threshold, and where it is from."""
    if wish is not None:
        return wish, "as asked"
    return (default, "the default") if typical is None else (typical, "what the file recommends")


def picture_problem(picture: DetectedPicture) -> tuple[str, str] | None:
    """Returns reason and detail where an entry is no picture that was looked at."""
    if is_example_path(picture.file):
        return "placeholder_path", f"{picture.file!r} is a path that stands for others in documentation, no picture"
    if picture.failure is not None:
        return "detector_failure", f"{picture.file!r}: the detector says: {picture.failure}"[:200]
    if picture.video:
        return VIDEO, f"{picture.file!r} is a video; take its frames out as pictures first"
    return None


def _best(picture: DetectedPicture) -> str | None:
    """Returns the highest confidence among the detections, as text."""
    known = [one.confidence for one in picture.detections if one.confidence is not None]
    return f"{max(known):g}" if known else None
