"""What `predict split` measured before in the same folder: its tables have a part per split, and keep those of other splits."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from camtrap_tf.errors import SourceError

OVERALL, STATS, MATRICES = "overall_metrics.csv", "label_stats.csv", "confusion_matrices.npz"
METRICS = ("loss", "loss_weighted", "acc_top1", "acc_top3", "acc_weighted_top1", "acc_weighted_top3")
OVERALL_COLUMNS = ("split", *METRICS)
STATS_COLUMNS = ("split", "label", "precision", "recall")
_ELSE = "remove it, or give another --output-dir"

Rows = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Measures:
    """Measures of splits; each mapping has the splits in the order of their rows.

    Attributes:
        overall: split → its row of `overall_metrics.csv`.
        stats: split → its rows of `label_stats.csv`.
        matrices: split → `[C, C]` counts, rows are true classes.
    """

    overall: Mapping[str, Rows] = field(default_factory=dict)
    stats: Mapping[str, Sequence[Rows]] = field(default_factory=dict)
    matrices: Mapping[str, np.ndarray] = field(default_factory=dict)

    def updated(self, newer: Measures) -> Measures:
        """Returns these measures with newer ones in the place of those of the same split, new splits at the end."""
        return Measures({**self.overall, **newer.overall}, {**self.stats, **newer.stats}, {**self.matrices, **newer.matrices})


def read_measures(folder: Path) -> Measures:
    """Returns what the tables of a folder say; nothing of those that are not there.

    Raises:
        SourceError: a table of that name is of another form; newer measures cannot stand in it.
    """
    overall = {row[0]: row for row in _rows(folder / OVERALL, OVERALL_COLUMNS)}
    stats: dict[str, list[Rows]] = {}
    for row in _rows(folder / STATS, STATS_COLUMNS):
        stats.setdefault(row[0], []).append(row)
    return Measures(overall, stats, _matrices(folder / MATRICES))


def _rows(path: Path, columns: Sequence[str]) -> list[Rows]:
    """Returns the cells of a table in the order of `columns`; none where it is not there."""
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file, strict=True, restval="")
            if set(table.fieldnames or ()) != set(columns):
                raise SourceError(f"{path}: is there already, with other columns than {', '.join(columns)}; {_ELSE}")
            return [tuple(row[column] for column in columns) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise SourceError(f"{path}: is there already and cannot be read as CSV ({err}); {_ELSE}") from err


def _matrices(path: Path) -> dict[str, np.ndarray]:
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, TypeError, zlib.error, zipfile.BadZipFile) as err:  # TypeError: a bare array
        raise SourceError(f"{path}: is there already and holds no confusion matrices; {_ELSE}") from err
