"""The table of a classification data set (`classification_ds.csv`): a crop per row, read as rows or as an inventory.

Columns `path,dataset,location,dataset_class,confidence,label`; several labels of one crop are joined by commas.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from camtrap_tf.errors import SourceError
from camtrap_tf.files import write_csv
from camtrap_tf.records import CaptureEvent, Media, Observation, Reject
from camtrap_tf.sources.csv_rows import CsvRows, positions
from camtrap_tf.sources.split_files import COMBINED, UNKNOWN_LOCATION, Place, places_to_splits

COLUMNS = ("path", "dataset", "location", "dataset_class", "confidence", "label")
FILE = "classification_ds.csv"
CONFIDENCE = "detection_conf"
"""Meta data field of a crop's confidence, which `--weight-by-detection-conf` reads."""
LABEL = "species"
"""Label type that a crop's labels get in an inventory, as those of COCO Camera Traps and of a training from a table do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CropRow:
    """A crop and its labels.

    Attributes:
        path: path of the crop, relative to the folder of crops.
        dataset: data set it is of.
        location: where the camera stood, as text.
        dataset_class: what the data set calls it.
        confidence: of the detection, in [0, 1]; 1 for boxes that people drew.
        labels: its classes; more than one only where classes do not exclude each other.
    """

    path: str
    dataset: str
    location: str
    dataset_class: str
    confidence: float
    labels: tuple[str, ...]

    @property
    def place(self) -> Place:
        """Data set and location: what splits keep whole."""
        return self.dataset, self.location

    def cells(self) -> tuple[object, ...]:
        """Returns the row of the table, in the order of `COLUMNS`."""
        sure = int(self.confidence) if self.confidence == int(self.confidence) else self.confidence
        return (self.path, self.dataset, self.location, self.dataset_class, sure, ",".join(self.labels))


def write_rows(path: Path, rows: Iterable[CropRow]) -> None:
    """Writes the table, whole or not at all."""
    write_csv(path, COLUMNS, (row.cells() for row in rows))


def read_rows(path: Path) -> Iterator[CropRow | Reject]:
    """Yields every row of a table, or why it is none; locations are texts, whatever they look like.

    Raises:
        SourceError: the file cannot be read, or is no such table.
    """
    table = CsvRows(path)
    missing = [column for column in COLUMNS if column not in table.header and column not in ("confidence", "dataset_class")]
    if missing:
        raise SourceError(f"{path}: not a classification table; it has no column {missing[0]!r} (needs {', '.join(COLUMNS)})")
    there = [column for column in COLUMNS if column in table.header]
    at = positions(table, there, "--path")
    for row in table.rows():
        if isinstance(row, Reject):
            yield row
            continue
        line, cells = row
        yield _row({column: cells[place] for column, place in zip(there, at, strict=True)}, f"line {line}")


def _row(cells: Mapping[str, str], item: str) -> CropRow | Reject:
    labels = tuple(dict.fromkeys(part for text in cells["label"].split(",") if (part := text.strip())))
    sure = cells.get("confidence", "") or "1"
    try:
        confidence = float(sure)
    except ValueError:
        confidence = math.nan
    problem = None
    if not cells["path"]:
        problem = ("no_path", "has no path")
    elif ".." in PurePosixPath(cells["path"]).parts or "\0" in cells["path"]:
        problem = ("outside_root", f"{cells['path']!r} leads out of the folder of crops")
    elif not labels:
        problem = ("no_label", "has no label")
    elif not 0 <= confidence <= 1:
        problem = ("bad_confidence", f"confidence {sure[:40]!r} is not a number in [0, 1]")
    if problem is not None:
        return Reject(cells["path"], item, "record", *problem)
    return CropRow(
        path=cells["path"],
        dataset=cells["dataset"],
        location=cells["location"] or UNKNOWN_LOCATION,
        dataset_class=cells.get("dataset_class") or labels[0],
        confidence=confidence,
        labels=labels,
    )


class ClassificationCsvSource:
    """Reads a classification table as an inventory: a record per crop.

    Attributes:
        read: rows seen so far.
        notes: what a reader of the log should know.
    """

    unit = "rows"

    def __init__(self, path: Path, *, splits: Mapping[str, Sequence[Place]] | None = None, label: str = LABEL) -> None:
        """Takes the table.

        Args:
            path: the table.
            splits: split → (data set, location) pairs; given, each record says its split (`split_name`).
            label: label type of the labels.

        Raises:
            SettingError: a location is in two splits.
        """
        self.path = path
        self.label = label
        self.read = 0
        self.notes: list[str] = []
        self._split_of = None if splits is None else places_to_splits(splits)

    def records(self) -> Iterator[CaptureEvent | Reject]:
        """Yields a record per crop, its path as id, or why a row is none."""
        seen: set[str] = set()
        unplaced = 0
        for row in read_rows(self.path):
            self.read += 1
            if isinstance(row, Reject):
                yield row
            elif row.path in seen:
                yield Reject(row.path, f"row {self.read}", "record", "repeated_id", "an earlier row has this path")
            else:
                seen.add(row.path)
                record = self._record(row)
                unplaced += self._split_of is not None and not record.meta_data["split_name"]
                yield record
        if unplaced:
            self.notes.append(f"{unplaced} crops are at locations that no split has; their split_name is empty")

    def _record(self, row: CropRow) -> CaptureEvent:
        facts = {"dataset": row.dataset, "location": row.location, "dataset_class": row.dataset_class}
        facts[CONFIDENCE] = f"{row.confidence:g}"
        if self._split_of is not None:
            found = self._split_of.get(row.place) or self._split_of.get((COMBINED, row.location))
            facts["split_name"] = found or ""
        observations = tuple(Observation(labels={self.label: label}) for label in row.labels)
        return CaptureEvent(event_id=row.path, media=(Media(path=row.path),), observations=observations, meta_data=facts)
