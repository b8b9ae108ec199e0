"""Predictions as a CSV that Timelapse imports into its data: one row per picture, found there by `RelativePath` and `File`.

Timelapse refuses columns that are no data labels of the template, so that these can be named. Texts that a spreadsheet program
would take for a formula get an apostrophe before them. Source: Timelapse Image Analyser, https://timelapse.ucalgary.ca.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.files import atomic_file
from camtrap_tf.prediction.aggregation import best_answer, present
from camtrap_tf.prediction.export_boxes import PredictedBox, box_of
from camtrap_tf.prediction.export_model import ModelFacts
from camtrap_tf.prediction.export_pictures import FactBook, PictureFacts
from camtrap_tf.prediction.results import PicturePrediction, RecordPrediction
from camtrap_tf.sources.picture_times import parse_time

OWN_COLUMNS = ("File", "RelativePath", "DateTime")
CONFIDENCE = ".confidence"
DECIMALS = 4
FORMULA_STARTS = tuple("=+-@\t\r")
"""What spreadsheet programs take for the start of a formula. Source: OWASP, CSV injection."""


@dataclass
class TimelapseCounts:
    """What became of the pictures.

    Attributes:
        rows: pictures in the table.
        guarded_paths: rows whose file or folder name had to get an apostrophe; Timelapse does not find these.
        boxes: further boxes of a picture that is in the table already, of which only the surest counts.
    """

    rows: int = 0
    guarded_paths: int = 0
    boxes: int = 0


def columns_of(model: ModelFacts, wanted: Mapping[str, str]) -> dict[str, str]:
    """Returns what is written → its column: every label type with its confidence, or what `--timelapse-columns` names.

    Raises:
        SettingError: a label type is not the model's.
    """
    known = [name for label in model.class_names for name in (label, label + CONFIDENCE)]
    for what in wanted:
        if what not in known:
            raise SettingError(f"--timelapse-columns {what}: the model has no such label type{suggestion(what, known)}")
    return dict(wanted) or {what: _data_label(what, number) for number, what in enumerate(known)}


def _data_label(what: str, number: int) -> str:
    """Returns a name that Timelapse takes as a data label: letters, digits and `_`."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", what.removesuffix(CONFIDENCE)).strip("_")
    plain = plain if plain[:1].isalpha() else f"label{number}_{plain}".rstrip("_")
    plain = f"{plain}_label" if plain in OWN_COLUMNS else plain
    return f"{plain}_confidence" if what.endswith(CONFIDENCE) else plain


@contextmanager
def timelapse_table(
    path: Path, model: ModelFacts, book: FactBook, columns: Mapping[str, str], counts: TimelapseCounts
) -> Iterator[Callable[[RecordPrediction], None]]:
    """Gives a function that adds the pictures of one record.

    Boxes of one picture have to come one after the other; the box that is surest of its species stands for the picture.

    Args:
        path: file to write, whole or not at all.
        model: what made the predictions.
        book: paths and times of pictures.
        columns: what is written → column, see `columns_of`.
        counts: filled while writing.
    """
    with atomic_file(path, "w", newline="", errors="backslashreplace") as file:
        table = csv.writer(file, lineterminator="\r\n")  # RFC 4180; with \n alone a lone \r would not be quoted
        table.writerow((*OWN_COLUMNS, *columns.values()))
        waiting: list[tuple[RecordPrediction, PredictedBox]] = []

        def put(picture: PicturePrediction, facts: PictureFacts) -> None:
            """Writes a row."""
            table.writerow(_row(picture, facts, model, columns, counts))

        def finish() -> None:
            """Writes the row of the picture whose boxes were coming in."""
            if waiting:
                record, box = max(waiting, key=lambda one: _confidence(one[1].picture, model))
                put(box.picture, book.facts(record, book.place_of(box), file=box.file))
                counts.boxes += len(waiting) - 1
                waiting.clear()

        def write(record: RecordPrediction) -> None:
            """Adds a record."""
            box = box_of(record)
            if waiting and (box is None or waiting[0][1].file != box.file):
                finish()
            if box is None:
                for picture in record.pictures:
                    put(picture, book.facts(record, picture.path))
            elif not box.lost_box:
                waiting.append((record, box))

        yield write
        finish()


def _confidence(picture: PicturePrediction, model: ModelFacts) -> float:
    """Returns how sure a box is of its species; -1 where it has none."""
    values = picture.probabilities.get(model.species)
    return -1.0 if values is None else float(values.max())


def _row(
    picture: PicturePrediction, facts: PictureFacts, model: ModelFacts, columns: Mapping[str, str], counts: TimelapseCounts
) -> list[str]:
    """Returns the row of a picture, and counts it."""
    folder, _, name = facts.relative.rpartition("/")
    folder = folder.replace("/", "\\")
    counts.rows += 1
    counts.guarded_paths += (safe(name), safe(folder)) != (name, folder)
    return [safe(name), safe(folder), _time(facts.time), *(safe(_cell(what, picture, model)) for what in columns)]


def _time(text: str | None) -> str:
    """Returns a time as the camera's clock showed it, in the form that Timelapse reads; empty where it is not known."""
    found = parse_time(text or "")
    return found[0][:19].replace("T", " ") if found is not None and "T" in found[0] else ""


def _cell(what: str, picture: PicturePrediction, model: ModelFacts) -> str:
    """Returns what is said of a label type, or how sure it is; empty where the picture has no answer."""
    label = what.removesuffix(CONFIDENCE) if what not in model.class_names else what
    values = picture.probabilities.get(label)
    if values is None:
        return ""
    names, blank = model.class_names[label], model.blanks.get(label)
    top, confidence = best_answer(values, names, blank)
    if what != label:
        return f"{confidence:.{DECIMALS}f}"
    return ",".join(present(values, names)) or top if blank is not None else top


def safe(text: str) -> str:
    """Returns a cell that no spreadsheet program takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
