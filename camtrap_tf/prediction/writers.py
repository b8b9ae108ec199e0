"""Tables of predictions: CSV and JSON with numbers, and camera-trap-classifier's CSV and JSON with texts of four decimals.

A table is written record by record into a hidden sibling file and takes its name when it is complete.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from camtrap_tf.files import atomic_file, json_line
from camtrap_tf.prediction.aggregation import best_answer, present
from camtrap_tf.prediction.results import PicturePrediction, RecordPrediction

ClassNames = Mapping[str, Sequence[str]]
"""Label type → class names by index (`LabelMapping.names`)."""
Blanks = Mapping[str, str]
"""Label types with a sigmoid head → name for nothing being there."""
NO_BLANKS: Blanks = {}
Write = Callable[[RecordPrediction], None]

LEGACY_COLUMNS = ("id", "label", "prediction_top", "confidence_top", "predictions_all")
COLUMNS = (*LEGACY_COLUMNS, "status", "error", "n_images")
PRESENT = "predictions_present"
DECIMALS = 6
"""Decimals of a probability in the tables; rounding is well below the 1e-5 to which trainer and service agree."""
LEGACY_PATH = "from_iterator"
"""What camera-trap-classifier writes for the path of a picture that came out of a shard."""


@contextmanager
def text_file(path: Path) -> Iterator[IO[str]]:
    """Opens a text file, packed where it is called `.gz`, that appears under its name only once it is complete."""
    if path.suffix.lower() != ".gz":
        # a file name that is not UTF-8 is written with escapes, which JSON understands too
        with atomic_file(path, "w", newline="", errors="backslashreplace") as file:
            yield file
        return
    with (
        atomic_file(path) as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", errors="backslashreplace", newline="") as text,
    ):
        yield text


@contextmanager
def open_table(
    path: Path,
    *,
    file_type: str,
    legacy: bool,
    class_names: ClassNames,
    meta_fields: Sequence[str] = (),
    blanks: Blanks = NO_BLANKS,
) -> Iterator[Write]:
    """Gives a function that adds one record to a table.

    CSV has one row per record and label type: `id`, `label`, `prediction_top`, `confidence_top`, `predictions_all`
    (JSON, class → probability), `status` (`ok`, `partial`, `failed`, `passed_over`), `error`, `n_images` (pictures of
    the record, used or not), then meta data; a meta data column with one of these names is called `meta_<name>`. A
    record that failed or was passed over has the same rows with empty predictions. JSON is one object per id, see
    `record_as_json`. `legacy` gives camera-trap-classifier's form of either: see `legacy_record`.

    A sigmoid head says `blank` where no class has one half; with such a head there is one more column, or key of the
    JSON, `predictions_present`: the list of classes that have one half or more.

    Args:
        path: file to write, packed where it is called `.gz`.
        file_type: `csv` or `json`.
        legacy: whether to write camera-trap-classifier's form.
        class_names: label types in the order of the rows, with their classes.
        meta_fields: meta data columns in order.
        blanks: label types with a sigmoid head → name for nothing being there.
    """
    with text_file(path) as file:
        if file_type == "csv":
            yield _csv_rows(file, legacy, class_names, tuple(meta_fields), blanks)
        else:
            entry = legacy_record if legacy else record_as_json
            first = True

            def write(record: RecordPrediction) -> None:
                """Adds a record."""
                nonlocal first
                file.write("{" if first else ",\n")
                file.write(f"{json_line(record.id)}:{json_line(entry(record, class_names, blanks))}")
                first = False

            yield write
            file.write("{}\n" if first else "}\n")


def record_as_json(record: RecordPrediction, class_names: ClassNames, blanks: Blanks = NO_BLANKS) -> dict[str, Any]:
    """Returns a record as plain values: the keys of `legacy_record` with numbers, and `status`, `error`, `n_images`."""
    value = _entry(record, class_names, _number, blanks)
    if blanks:
        value[PRESENT] = {
            label: present(record.aggregated[label], class_names[label]) for label in blanks if label in record.aggregated
        }
    return {**value, "status": record.status, "error": record.error, "n_images": len(record.pictures)}


def legacy_record(record: RecordPrediction, class_names: ClassNames, blanks: Blanks = NO_BLANKS) -> dict[str, Any]:
    """Returns a record in camera-trap-classifier's JSON shape: keys and their order, numbers as texts of four decimals.

    A picture that could not be used has empty `predictions`, a failed record an empty `aggregated_pred`.

    Returns:
        `{"images": [{"path", "predictions": {label: {class: "0.1234"}}}], "meta_data"?, "ground_truth"?,
        "aggregated_pred": {label: {class: "0.1234"}}, "predictions_top": {label: class}, "confidences_top": {label: "0.1234"}}`
    """
    return _entry(record, class_names, _four_decimals, blanks)


def write_test_predictions(
    path: Path,
    *,
    ids: Sequence[str],
    probabilities: Mapping[str, np.ndarray],
    ground_truth: Mapping[str, Sequence[str | list[str]]],
    class_names: ClassNames,
    blanks: Blanks = NO_BLANKS,
) -> None:
    """Writes `test_preds.json` of a training run: camera-trap-classifier's JSON with `ground_truth`, one entry per record.

    Args:
        path: file to write, whole or not at all.
        ids: `N` record ids, unique.
        probabilities: label type → `[N, C]`, combined over the frames of each record.
        ground_truth: label type → `N` class names as in the shards; `"-1"` where missing; of sigmoid heads lists of them.
        class_names: label type → `C` class names by index.
        blanks: see `open_table`.
    """
    with open_table(path, file_type="json", legacy=True, class_names=class_names, blanks=blanks) as write:
        for i, record_id in enumerate(ids):
            values = {label: np.asarray(of_label[i]) for label, of_label in probabilities.items()}
            truth = {label: of_label[i] for label, of_label in ground_truth.items()}
            picture = PicturePrediction(LEGACY_PATH, values)
            write(RecordPrediction(record_id, (picture,), values, ground_truth=truth))


def _csv_rows(file: IO[str], legacy: bool, class_names: ClassNames, meta_fields: tuple[str, ...], blanks: Blanks) -> Write:
    if legacy:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerow((*LEGACY_COLUMNS, *meta_fields))
        rows = _legacy_rows
    else:
        table = csv.writer(file, lineterminator="\n")
        columns = (*COLUMNS, PRESENT) if blanks else COLUMNS
        table.writerow((*columns, *_free_names(meta_fields, columns)))
        rows = _rows

    def write(record: RecordPrediction) -> None:
        """Adds a record."""
        meta = [record.meta_data.get(name, "") for name in meta_fields]
        table.writerows([*row, *meta] for row in rows(record, class_names, blanks))

    return write


def _rows(record: RecordPrediction, class_names: ClassNames, blanks: Blanks) -> Iterable[tuple[object, ...]]:
    end = (record.status, record.error, len(record.pictures))
    for label, names in class_names.items():
        if label in record.aggregated:
            values = record.aggregated[label]
            top, confidence = best_answer(values, names, blanks.get(label))
            each = json.dumps(_by_class(values, names, _number), ensure_ascii=False)
            found = json.dumps(present(values, names), ensure_ascii=False) if label in blanks else ""
            yield (record.id, label, top, _number(confidence), each, *end, *([found] if blanks else []))
        else:
            yield (record.id, label, "", "", "{}", *end, *([""] if blanks else []))


def _legacy_rows(record: RecordPrediction, class_names: ClassNames, blanks: Blanks) -> Iterable[tuple[object, ...]]:
    for label, names in class_names.items():
        if label in record.aggregated:
            top, confidence = best_answer(record.aggregated[label], names, blanks.get(label))
            values = _by_class(record.aggregated[label], names, _four_decimals)
            yield (record.id, label, top, _four_decimals(confidence), repr(values))
        else:
            yield (record.id, label, "", "", "{}")


def _entry(record: RecordPrediction, class_names: ClassNames, number: Callable[[float], Any], blanks: Blanks) -> dict[str, Any]:
    tops = {
        label: best_answer(record.aggregated[label], names, blanks.get(label))
        for label, names in class_names.items()
        if label in record.aggregated
    }
    value: dict[str, Any] = {"images": [_picture(picture, class_names, number) for picture in record.pictures]}
    if record.meta_data:
        value["meta_data"] = dict(record.meta_data)
    if record.ground_truth is not None:
        value["ground_truth"] = dict(record.ground_truth)
    value["aggregated_pred"] = _by_label(record.aggregated, class_names, number)
    value["predictions_top"] = {label: name for label, (name, _) in tops.items()}
    value["confidences_top"] = {label: number(confidence) for label, (_, confidence) in tops.items()}
    return value


def _picture(picture: PicturePrediction, class_names: ClassNames, number: Callable[[float], Any]) -> dict[str, Any]:
    value: dict[str, Any] = {"path": picture.path, "predictions": _by_label(picture.probabilities, class_names, number)}
    if picture.problem and number is _number:
        value["error"] = ": ".join(picture.problem)
    return value


def _by_label(
    probabilities: Mapping[str, np.ndarray], class_names: ClassNames, number: Callable[[float], Any]
) -> dict[str, dict[str, Any]]:
    return {
        label: _by_class(probabilities[label], names, number) for label, names in class_names.items() if label in probabilities
    }


def _by_class(values: np.ndarray, names: Sequence[str], number: Callable[[float], Any]) -> dict[str, Any]:
    return {name: number(float(value)) for name, value in zip(names, values, strict=True)}


def _number(value: float) -> float:
    return round(value, DECIMALS)


def _four_decimals(value: float) -> str:
    return f"{value:.4f}"


def _free_names(meta_fields: tuple[str, ...], columns: Sequence[str]) -> list[str]:
    taken = {*columns, *meta_fields}
    names = []
    for name in meta_fields:
        if name in columns:
            while name in taken:
                name = f"meta_{name}"
            taken.add(name)
        names.append(name)
    return names
