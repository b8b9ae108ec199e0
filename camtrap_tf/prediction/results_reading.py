"""Tables of `camtrap predict` read back, record by record, so that they can be written in other forms without a model.

JSON says everything; of a CSV only records of one picture can be used, since its rows do not name their pictures.
"""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from camtrap_tf.config.names import PICTURE_SUFFIXES
from camtrap_tf.errors import SourceError
from camtrap_tf.files import path_hint
from camtrap_tf.prediction.results import PASSED_OVER, PicturePrediction, RecordPrediction
from camtrap_tf.prediction.writers import COLUMNS, LEGACY_COLUMNS, PRESENT

CHUNK_CHARS = 2**20
MAX_ENTRY_CHARS = 64 * 2**20
"""Longer entries are no predictions of a record."""
LOOK_AHEAD = 1000
"""Records that are looked at to find out what the label types and classes are."""
CSV_FIELD_LIMIT = 16 * 2**20


@dataclass
class ResultsFile:
    """A table of predictions.

    Attributes:
        path: JSON or CSV.
        class_names: label type → classes, as the first predicted record has them.
        blanks: label types with a sigmoid head → name for nothing being there.
        meta_fields: meta data fields of the first records.
    """

    path: Path
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    blanks: dict[str, str] = field(default_factory=dict)
    meta_fields: tuple[str, ...] = ()

    @classmethod
    def open(cls, path: Path) -> ResultsFile:
        """Finds out what label types and classes there are.

        Raises:
            SourceError: it cannot be read, is no such table, or has no predicted record.
        """
        if path.suffix.lower() == ".gz" and path.is_file():
            raise SourceError(f"{path}: is packed; unpack it and give the .csv (gunzip --keep {path})")
        found = cls(path)
        meta: dict[str, None] = {}
        for number, (_, entry) in enumerate(found._entries()):
            if number >= LOOK_AHEAD and found.class_names:
                break
            found._look_at(entry)
            meta.update(dict.fromkeys(entry.get("meta_data") or {}))
        found.meta_fields = tuple(meta)
        if not found.class_names:
            raise SourceError(f"{path}: no record of it was predicted; there is nothing to write")
        return found

    def records(self) -> Iterator[RecordPrediction]:
        """Yields the records in order.

        Raises:
            SourceError: the file is damaged, or a record has other classes than the first.
        """
        for record_id, entry in self._entries():
            yield self._record(record_id, entry)

    def _entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields id and entry of each record, in the shape that JSON has."""
        try:
            yield from (_csv_entries(self.path) if self.path.suffix.lower() == ".csv" else json_members(self.path))
        except FileNotFoundError as err:
            raise SourceError(f"{self.path}: no such table of predictions{path_hint(self.path)}") from err
        except (OSError, UnicodeDecodeError, csv.Error) as err:
            raise SourceError(f"{self.path}: cannot be read as a table of predictions: {err}") from err

    def _look_at(self, entry: Mapping[str, Any]) -> None:
        """Learns label types, classes and names for nothing from an entry."""
        predicted = entry.get("aggregated_pred")
        if not isinstance(predicted, dict):
            raise SourceError(
                f"{self.path}: not a table of `camtrap predict`: its entries have no aggregated_pred; check the path"
            )
        for label, by_class in predicted.items():
            if isinstance(by_class, dict) and by_class:
                self.class_names.setdefault(label, tuple(by_class))
        tops = entry.get("predictions_top")
        for label, there in (entry.get(PRESENT) or {}).items():
            top = tops.get(label) if isinstance(tops, dict) and not there else None
            if top is not None or label not in self.blanks:
                self.blanks[label] = str(top or "blank")

    def _record(self, record_id: str, entry: Mapping[str, Any]) -> RecordPrediction:
        """Returns an entry as a prediction."""
        where = f"{self.path}: record {record_id!r}"
        try:
            images = entry["images"]
            pictures = tuple(self._picture(one, where) for one in images)
            aggregated = self._probabilities(entry["aggregated_pred"], where)
            meta = {str(key): str(value) for key, value in (entry.get("meta_data") or {}).items()}
        except (KeyError, TypeError, AttributeError) as err:
            raise SourceError(f"{where}: is damaged ({err!r}); make the table again") from err
        problem = None if pictures else _parted(str(entry.get("error") or "no_picture: the record names no picture"))
        passed_over = entry.get("status") == PASSED_OVER
        return RecordPrediction(record_id, pictures, aggregated, meta, problem=problem, passed_over=passed_over)

    def _picture(self, value: Mapping[str, Any], where: str) -> PicturePrediction:
        """Returns what an entry says of one picture."""
        probabilities = self._probabilities(value["predictions"], where)
        problem = _parted(str(value.get("error") or "unusable: it has no prediction")) if not probabilities else None
        return PicturePrediction(str(value["path"]), probabilities, problem)

    def _probabilities(self, by_label: Mapping[str, Mapping[str, Any]], where: str) -> dict[str, np.ndarray]:
        """Returns label type → `[C]`, in the order of the first record's classes."""
        found = {}
        for label, by_class in by_label.items():
            names = self.class_names.get(label)
            if names is None or set(names) != set(by_class):
                raise SourceError(f"{where}: has other classes of {label!r} than the records before; is it of one model?")
            try:
                found[label] = np.array([float(by_class[name]) for name in names], np.float32)
            except (TypeError, ValueError, OverflowError) as err:
                raise SourceError(f"{where}: a probability of {label!r} is not a number ({err})") from err
        return found


def _parted(error: str) -> tuple[str, str]:
    """Returns reason code and detail of an error text."""
    reason, _, detail = error.partition(": ")
    return reason, detail or reason


def json_members(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields key and object of each member of a JSON object of objects; holds about one of them at a time.

    Raises:
        SourceError: it is not such a file; says where.
    """
    decoder = json.JSONDecoder()
    with path.open(encoding="utf-8-sig") as file:
        text = _Window(file.read, path)
        if text.peek() != "{":
            raise SourceError(f"{path}: not a table of `camtrap predict`: it is no JSON object; check the path")
        text.skip("{")
        while text.peek() != "}":
            key = text.decoded(decoder)
            text.skip(":")
            value = text.decoded(decoder)
            if not isinstance(key, str) or not isinstance(value, dict):
                raise SourceError(f"{path}: not a table of `camtrap predict`: entry {str(key)[:60]!r} is no object")
            yield key, value
            if text.peek() == ",":
                text.skip(",")
            elif text.peek() != "}":
                raise SourceError(f"{path}: a comma or }} is missing after entry {key[:60]!r}; is the file cut off?")


class _Window:
    """The part of a long text that is being parsed."""

    def __init__(self, read: Any, path: Path) -> None:
        """Takes what reads a number of characters."""
        self._read, self._path = read, path
        self._text, self._at, self._step = "", 0, CHUNK_CHARS

    def peek(self) -> str:
        """Returns the next character that is no white space; empty at the end."""
        while True:
            rest = self._text[self._at : self._at + 256]
            bare = rest.lstrip(" \t\r\n")
            self._at += len(rest) - len(bare)
            if bare:
                return bare[0]
            if self._at >= len(self._text) and not self._more():
                return ""

    def skip(self, sign: str) -> None:
        """Goes beyond the next character, which has to be `sign`."""
        if self.peek() != sign:
            raise SourceError(f"{self._path}: {sign!r} is missing in the JSON; is the file cut off?")
        self._at += 1

    def decoded(self, decoder: json.JSONDecoder) -> Any:
        """Returns the next value."""
        self.peek()
        while True:
            try:
                value, self._at = decoder.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as err:
                if isinstance(err, RecursionError) or len(self._text) - self._at > MAX_ENTRY_CHARS or not self._more():
                    raise SourceError(f"{self._path}: not JSON, or cut off: {str(err)[:120]}") from err
            else:
                self._step = CHUNK_CHARS
                return value

    def _more(self) -> bool:
        """Reads on, twice as much each time that one value needs it; returns whether there was anything."""
        found = self._read(self._step)
        self._text, self._at, self._step = self._text[self._at :] + found, 0, self._step * 2
        return bool(found)


def _csv_entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the records of a CSV in the shape that JSON has.

    Raises:
        SourceError: it is no such table, or has records of several pictures.
    """
    csv.field_size_limit(CSV_FIELD_LIMIT)
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        header = table.fieldnames or []
        lacking = [name for name in LEGACY_COLUMNS if name not in header]
        if lacking and header[:1] == ["path"]:
            raise SourceError(
                f"{path}: has a column per class and too little besides; write the predictions as JSON and take that"
            )
        if lacking:
            raise SourceError(f"{path}: not a table of `camtrap predict`: it has no column {lacking[0]!r}; check the path")
        meta_fields = [name for name in header if name not in (*COLUMNS, PRESENT)]
        current: tuple[str, dict[str, Any]] | None = None
        for row in table:
            if current is None or current[0] != row["id"]:
                if current is not None:
                    yield current
                current = (row["id"], _started(row, meta_fields, f"{path}: record {row['id']!r}"))
            _add_row(current[1], row, f"{path} line {table.line_num}")
        if current is not None:
            yield current


def _started(row: Mapping[str, str], meta_fields: list[str], where: str) -> dict[str, Any]:
    """Returns a record of a CSV before its rows are added."""
    bare = row.get("n_images") == "0"
    if not bare and (row.get("n_images", "1") != "1" or Path(row["id"]).suffix.lower() not in PICTURE_SUFFIXES):
        raise SourceError(f"{where}: the CSV does not say which pictures it is of; write the predictions as JSON and take that")
    if not bare and row.get("file") and row.get("box") and row.get("unit") == "px":
        raise SourceError(
            f"{where}: its box is in px of a picture that the CSV does not say the place of; write the predictions as JSON and "
            "take that, or write the other forms with `predict --export`"
        )
    picture = {"path": row["id"], "predictions": {}, "error": row.get("error") or ""}
    return {
        "images": [] if bare else [picture],
        "meta_data": {name: row[name] for name in meta_fields if row.get(name)},
        "aggregated_pred": picture["predictions"],
        "predictions_top": {},
        "status": row.get("status"),
        "error": row.get("error") or "",
    }


def _add_row(entry: dict[str, Any], row: Mapping[str, str], where: str) -> None:
    """Adds the row of one label type to its record."""
    by_class = class_probabilities(row["predictions_all"], where, as_json="error" in row)
    try:
        there = json.loads(row[PRESENT]) if row.get(PRESENT) else None
    except (ValueError, RecursionError) as err:
        raise SourceError(f"{where}: {PRESENT} is no list; make the table again") from err
    if by_class:
        entry["aggregated_pred"][row["label"]] = by_class
        entry["predictions_top"][row["label"]] = row["prediction_top"]
    if there is not None:
        entry.setdefault(PRESENT, {})[row["label"]] = there


def class_probabilities(text: str | None, where: str, *, as_json: bool) -> dict[str, Any]:
    """Returns class → probability as a cell `predictions_all` of a CSV has them.

    Args:
        text: the cell.
        where: it stands, for the message.
        as_json: whether it is JSON, as in our tables; camera-trap-classifier's have Python's spelling of a dictionary.

    Raises:
        SourceError: it is neither.
    """
    try:
        found = json.loads(text or "") if as_json else ast.literal_eval(text or "")
    except (TypeError, ValueError, SyntaxError, MemoryError, RecursionError) as err:
        raise SourceError(f"{where}: predictions_all is not an object of class: probability; make the table again") from err
    if not isinstance(found, dict):
        raise SourceError(f"{where}: predictions_all is not an object of class: probability; make the table again")
    return found
