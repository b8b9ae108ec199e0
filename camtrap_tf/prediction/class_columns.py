"""Tables in the layout of MegaDetector's classification tools: `path` and a column per class, a row per picture or box.

`answer_tables` reads them, and so do the tools that such tables were made for.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.prediction.answer_tables import PATH, SPECIES
from camtrap_tf.prediction.export_pictures import relative_path
from camtrap_tf.prediction.results import NO_DETECTION, PASSED_OVER, RecordPrediction
from camtrap_tf.prediction.writers import DECIMALS, Blanks, ClassNames, Write, text_file

CLASS_COLUMNS = "class-columns"
"""How settings call this form."""


def label_of_columns(class_names: ClassNames, blanks: Blanks) -> str:
    """Returns the label type whose classes are the columns: `species`, else the only one.

    Args:
        class_names: label type → classes by index.
        blanks: label types with a sigmoid head → name for nothing being there.

    Raises:
        SettingError: it is not clear which one, or a record has any number of its classes.
    """
    flag = f"--export-file-type {CLASS_COLUMNS}"
    if SPECIES not in class_names and len(class_names) != 1:
        raise SettingError(f"{flag}: has one label type, and none is called {SPECIES}{suggestion('', class_names)}; take csv")
    label = SPECIES if SPECIES in class_names else next(iter(class_names))
    if label in blanks:
        raise SettingError(f"{flag}: is for label types of which a picture has one class, {label} has any number; take csv")
    return label


@contextmanager
def class_columns_table(path: Path, *, names: Sequence[str], label: str, root: Path | None) -> Iterator[Write]:
    """Gives a function that adds one record to a table with a column per class.

    What could not be used has empty cells. A picture without a detection and a file that is none have no row.

    Args:
        path: file to write, packed where it is called `.gz`; it appears when it is complete.
        names: classes of the label type, by index.
        label: the label type.
        root: folder that paths are relative to; None: they are the ids as they are.
    """
    with text_file(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow((PATH, *names))

        def write(record: RecordPrediction) -> None:
            """Adds a record."""
            if record.status in (NO_DETECTION, PASSED_OVER):
                return
            values: Mapping[str, Sequence[float]] = record.aggregated
            cells = [round(float(value), DECIMALS) for value in values[label]] if label in values else [""] * len(names)
            table.writerow((record.id if root is None else relative_path(record.id, root), *cells))

        yield write
