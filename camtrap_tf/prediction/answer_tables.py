"""Tables of probabilities as they lie there, whoever wrote them: which form one has, and its rows without a change.

Three forms: JSON of `camtrap predict` (an entry per record), its CSV (a row per record and label type), and the CSV of
MegaDetector's classification tools (a row per picture, a column per class). `results_reading` makes records of the first two.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from camtrap_tf.config.names import PICTURE_SUFFIXES
from camtrap_tf.errors import LabelError, SettingError, SourceError, suggestion
from camtrap_tf.files import path_hint
from camtrap_tf.prediction.results_reading import CSV_FIELD_LIMIT, class_probabilities, json_members
from camtrap_tf.prediction.writers import COLUMNS, LEGACY_COLUMNS, LEGACY_PATH, PRESENT

Form = Literal["json", "rows", "wide"]
SPECIES = "species"
PATH, STATED, WEIGHT = "path", "label", "weight"
"""Columns of a wide table that are no class: the picture; of `outputs_<split>.csv.gz` also the true class and its weight."""
_SPLIT_RESULTS = "_results.json"
_OUTPUTS = re.compile(r"outputs_(.+)\.csv\.gz")
"""Name of the table of a whole split."""
_PACKED = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTable:
    """What form a table of probabilities has.

    Attributes:
        path: where it lies.
        form: `json`; `rows`: CSV with a row per record and label type; `wide`: CSV with a column per class.
        header: columns of a CSV.
        labels: label types; a wide table has none.
    """

    path: Path
    form: Form
    header: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def is_legacy(self) -> bool:
        """Whether it is camera-trap-classifier's CSV."""
        return self.form == "rows" and "error" not in self.header

    @property
    def has_stated(self) -> bool:
        """Whether it is a wide table with true classes and weights beside the classes."""
        return self.form == "wide" and self.header[1:3] == (STATED, WEIGHT)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a wide table."""
        return self.header[3 if self.has_stated else 1 :]

    def label(self, wanted: str | None) -> str | None:
        """Returns the label type that is meant: as asked for, else `species`, else the only one; None of a wide table.

        Raises:
            LabelError: the table has no such label type.
            SettingError: it is not clear which one, or a wide table has none to choose from.
        """
        if self.form == "wide":
            return None
        return chosen_label(wanted, self.labels, str(self.path))

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """Yields where a row of a CSV stands, for messages, and its cells; without the header.

        Raises:
            SourceError: the file is damaged, or a row has not as many cells as the header.
        """
        with _readable(self.path):
            for line, row in itertools.islice(_csv_rows(self.path), 1, None):
                where = f"{self.path} line {line}"
                if len(row) != len(self.header):
                    raise SourceError(f"{where}: has {len(row)} cells, the header {len(self.header)}; is the file cut off?")
                yield where, row

    def entries(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yields where an entry of a JSON stands, for messages, its id and the entry.

        Raises:
            SourceError: the file is damaged, or an entry is none of `camtrap predict`.
        """
        with _readable(self.path):
            for record_id, entry in json_members(self.path):
                where = f"{self.path}: record {record_id!r}"
                yield where, record_id, _checked(entry, where)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a table says about one record.

    Attributes:
        id: of the record.
        pictures: their paths; empty where the table does not say them.
        probabilities: class → probability; empty where the record was not predicted.
        stated: true class as the table has it; None where it has none.
        meta: further facts.
    """

    id: str
    pictures: tuple[str, ...]
    probabilities: Mapping[str, float]
    stated: str | None
    meta: Mapping[str, str]


def open_answers(path: Path) -> AnswerTable:
    """Finds out what form a table has.

    Raises:
        SettingError: its name says no form.
        SourceError: it cannot be read, is of another form, or nothing of it was predicted.
    """
    if not path.name.lower().endswith((".json", ".csv", ".csv.gz")):
        raise SettingError(f"--results-file {path}: its name has to end in .json, .csv or .csv.gz")
    with _readable(path):
        if path.suffix.lower() == ".json":
            return AnswerTable(path=path, form="json", labels=_json_labels(path))
        header = tuple(next(_csv_rows(path), (0, []))[1])
        twice = [name for name, count in Counter(header).items() if count > 1]
        if twice:
            raise SourceError(f"{path}: the header names {twice[0]!r} twice; give every column its own name")
        if set(LEGACY_COLUMNS) <= set(header):
            return AnswerTable(path=path, form="rows", header=header, labels=_row_labels(path, header))
        table = AnswerTable(path=path, form="wide", header=header)
        if header[:1] != (PATH,) or not table.classes:
            raise SourceError(
                f"{path}: not a table of predictions; that has the columns {', '.join(LEGACY_COLUMNS)}, or path and one a class"
            )
        return table


def chosen_label(wanted: str | None, labels: Sequence[str], where: str) -> str:
    """Returns the label type that is meant: as asked for, else `species`, else the only one.

    Args:
        wanted: what was asked for.
        labels: which there are.
        where: file that has them, for the message.

    Raises:
        LabelError: there is none of that name.
        SettingError: it is not clear which one.
    """
    if wanted is not None:
        if wanted not in labels:
            raise LabelError(f"--label {wanted}: {where} has no such label type{suggestion(wanted, labels)}")
        return wanted
    if SPECIES in labels:
        return SPECIES
    if len(labels) != 1:
        raise SettingError(f"--label is missing: {where} has several label types and none is {SPECIES}{suggestion('', labels)}")
    return labels[0]


def answers(table: AnswerTable, label: str | None) -> Iterator[Answer]:
    """Yields what a table says about each record.

    Args:
        table: the table.
        label: label type; None for a wide table.

    Raises:
        LabelError: the label type has any number of classes a record.
        SourceError: the table is damaged.
    """
    if table.form == "wide":
        yield from _wide_answers(table)
    elif table.form == "json":
        yield from _json_answers(table, label or "")
    else:
        yield from _row_answers(table, label or "")


def _wide_answers(table: AnswerTable) -> Iterator[Answer]:
    """Yields a record per row of a wide table."""
    first = len(table.header) - len(table.classes)
    for where, row in table.rows():
        yield Answer(row[0], (row[0],), wide_values(table, row, where), row[1] if first > 1 else None, {})


def _row_answers(table: AnswerTable, label: str) -> Iterator[Answer]:
    """Yields the records of a CSV with a row per record and label type."""
    at = {name: place for place, name in enumerate(table.header)}
    meta_fields = [name for name in table.header if name not in (*COLUMNS, PRESENT)]
    for where, row in table.rows():
        if row[at["label"]] != label:
            continue
        if PRESENT in at and row[at[PRESENT]]:
            raise LabelError(several_classes(label, where))
        record_id = row[at["id"]]
        values = numbers(class_probabilities(row[at["predictions_all"]], where, as_json="error" in at), where)
        pictures = (record_id,) if Path(record_id).suffix.lower() in PICTURE_SUFFIXES else ()
        yield Answer(record_id, pictures, values, None, {name: row[at[name]] for name in meta_fields if row[at[name]]})


def _json_answers(table: AnswerTable, label: str) -> Iterator[Answer]:
    """Yields the records of a JSON."""
    for where, record_id, entry in table.entries():
        stated = entry.get("ground_truth", {}).get(label)
        if label in entry.get(PRESENT, {}) or isinstance(stated, list):
            raise LabelError(several_classes(label, where))
        values = numbers(entry["aggregated_pred"].get(label, {}), where)
        paths = (str(one.get("path") or LEGACY_PATH) for one in entry["images"])
        pictures = tuple(path for path in paths if path != LEGACY_PATH)
        meta = {str(key): str(value) for key, value in entry.get("meta_data", {}).items()}
        yield Answer(record_id, pictures, values, None if stated is None else str(stated), meta)


def wide_values(table: AnswerTable, row: Sequence[str], where: str) -> dict[str, float]:
    """Returns class → probability of a row of a wide table; empty where all its cells are."""
    cells = row[len(table.header) - len(table.classes) :]
    return numbers(dict(zip(table.classes, cells, strict=True)), where) if any(cells) else {}


def numbers(by_class: Any, where: str) -> dict[str, float]:
    """Returns class → probability as numbers, in the order given.

    Raises:
        SourceError: it is no object, or one of them is no finite number.
    """
    if not isinstance(by_class, Mapping):
        raise SourceError(f"{where}: its probabilities are no object of class: probability; make the table again")
    found = {str(name): _number(value) for name, value in by_class.items()}
    if not all(map(math.isfinite, found.values())):
        name, value = next((name, value) for name, value in by_class.items() if not math.isfinite(found[str(name)]))
        raise SourceError(f"{where}: the probability of {name!r} is {str(value)[:40]!r}, not a number; make the table again")
    return found


def _number(value: Any) -> float:
    """Returns a cell as a number; NaN where it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def several_classes(label: str, where: str) -> str:
    """Returns the message about a label type whose classes do not exclude each other."""
    return f"{where}: a record has any number of classes of {label!r}; this is for label types of which it has one"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Wraps what goes wrong in reading."""
    try:
        yield
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such table of predictions{_maker(path)}") from err
    except (EOFError, zlib.error) as err:
        raise SourceError(f"{path}: the packed file is cut off or damaged ({err}); make it again") from err
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise SourceError(f"{path}: cannot be read as a table of predictions: {err}") from err


def _maker(path: Path) -> str:
    """Ends a message about a table that is not there: which command makes one of this name, else what is there instead."""
    split = _OUTPUTS.fullmatch(path.name)
    if split is None:
        return path_hint(path)
    return f"; `camtrap predict --run <run folder> --split {split[1]} --output-dir {path.parent}` makes it"


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields line number and cells of each row of a CSV, the header first; empty lines are no rows."""
    csv.field_size_limit(CSV_FIELD_LIMIT)
    with path.open("rb") as file:
        packed = file.read(len(_PACKED)) == _PACKED  # by its content: some `.csv.gz` are plain text, and the other way round
    opened = gzip.open if packed else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
        table = csv.reader(_lines(text, path), strict=True)
        for row in table:
            if row:
                yield table.line_num, row


def _lines(text: IO[str], path: Path) -> Iterator[str]:
    """Yields lines; one that would not fit into memory is an error, which a packed file could hide."""
    while line := text.readline(CSV_FIELD_LIMIT):
        if len(line) == CSV_FIELD_LIMIT:
            raise SourceError(f"{path}: a line has more than {CSV_FIELD_LIMIT} characters; not a table of predictions")
        yield line


def _json_labels(path: Path) -> tuple[str, ...]:
    """Returns the label types of the first predicted entry of a JSON."""
    for record_id, entry in json_members(path) if not path.name.endswith(_SPLIT_RESULTS) else ():
        labels = tuple(_checked(entry, f"{path}: record {record_id!r}")["aggregated_pred"])
        if labels:
            return labels
    if path.name.endswith(_SPLIT_RESULTS):
        split = path.name.removesuffix(_SPLIT_RESULTS)
        raise SourceError(f"{path}: not a table of predictions; take outputs_{split}.csv.gz, which lies beside it")
    raise SourceError(f"{path}: no record of it was predicted; there is nothing to look at")


def _row_labels(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    """Returns the label types of the first record of a CSV."""
    labels: dict[str, None] = {}
    first = None
    rows = _csv_rows(path)
    next(rows)
    for line, row in rows:
        if len(row) != len(header):
            raise SourceError(f"{path} line {line}: has {len(row)} cells, the header {len(header)}; is the file cut off?")
        record_id = row[header.index("id")]
        if first not in (None, record_id):
            break
        first = record_id
        labels[row[header.index("label")]] = None
    if not labels:
        raise SourceError(f"{path}: the table has a header and no row; there is nothing to look at")
    return tuple(labels)


def _checked(entry: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns an entry of a JSON whose parts have the kinds that they should have.

    Raises:
        SourceError: it is none of `camtrap predict`, or damaged.
    """
    images, predicted = entry.get("images"), entry.get("aggregated_pred")
    if not isinstance(predicted, dict) or not isinstance(images, list):
        raise SourceError(f"{where}: not of a table of `camtrap predict`: it has no images and aggregated_pred; check the path")
    objects = [*images, *(entry.get(key, {}) for key in ("ground_truth", "meta_data", PRESENT, "predictions_top"))]
    objects += [one.get("predictions", {}) for one in images if isinstance(one, dict)]
    if not all(isinstance(one, dict) for one in objects):
        raise SourceError(f"{where}: is damaged; make the table again")
    return entry
