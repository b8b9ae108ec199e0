"""How sure the detector was of each training record: read from the records' meta data, and calibrated where asked for.

A record that a detector cut out carries its confidence along: a column of the table (`--meta-data-fields`) that goes
through inventory and shards like any other fact.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from camtrap_tf.errors import DatasetError, SettingError, suggestion
from camtrap_tf.input_pipeline.shard_set import ShardSet

CURVE = ("x", "y")
"""Arrays of a calibration file: confidence, and the share of detections at it that are right."""


def read_confidences(shards: ShardSet, field: str, calibration: Path | None = None) -> np.ndarray:
    """Returns the detection confidence of each record, `[records]` float64 in [0, 1], not all of them 0.

    Goes through the meta data of all records, not their pictures.

    Args:
        shards: the training records.
        field: name of the confidence in their meta data.
        calibration: `.npz` with a curve that confidences are put through, straight lines between its points.

    Raises:
        DatasetError: a record has no confidence, or one that is no number in [0, 1].
        SettingError: the calibration file cannot be used.
    """
    curve = None if calibration is None else read_curve(calibration)
    values = np.empty(len(shards), np.float64)
    absent, first, known = 0, "", set()
    for number, meta in enumerate(shards.meta_data()):
        text = meta.get(field)
        if text is None:
            absent += 1
            first = first or f"record {number}"
            known.update(meta)
            values[number] = 0.0
            continue
        values[number] = _number(text, field, number)
    where = f"--weight-by-detection-conf: {shards.shards[0].parent}"
    if absent:
        there = f"there are {', '.join(sorted(known)[:8])}" if known else "it has none"
        raise DatasetError(
            f"{where}: {absent} of {len(shards)} training records have no {field!r} in their meta data (the first is {first}; "
            f"{there}){suggestion(field, sorted(known))}; give its name with --detection-conf-field, or make inventory and "
            f"shards again with --meta-data-fields {field}"
        )
    if curve is not None:
        values = np.interp(values, *curve)
    if not values.any():
        raise DatasetError(f"{where}: the confidence of every training record is 0; there is nothing to draw")
    return values


def _number(text: str, field: str, record: int) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value <= 1:
        raise DatasetError(
            f"--weight-by-detection-conf: record {record} of the training shards has {field} {text[:40]!r}, which is no number "
            "from 0 to 1; mend it in the table that the inventory was made from"
        )
    return value


def read_curve(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Returns the points of a calibration curve, confidences in ascending order.

    Raises:
        SettingError: the file cannot be read, or holds no such curve.
    """
    where = f"--detection-conf-calibration {path}"
    try:
        with np.load(path, allow_pickle=False) as file:
            x, y = (np.asarray(file[name], np.float64) for name in CURVE)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as err:
        raise SettingError(f"{where}: no .npz file with the arrays x and y ({err})") from err
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2 or not np.all(np.diff(x) > 0):
        raise SettingError(f"{where}: x and y are rows of equal length, two points at least, x ascending")
    if not (np.all((y >= 0) & (y <= 1)) and np.isfinite(x).all()):
        raise SettingError(f"{where}: y holds shares from 0 to 1")
    return x, y
