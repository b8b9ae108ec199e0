"""Average precision of many classes over any number of records, exact, in little memory.

What has to be known of a class are the values of the records in which it is there, and how many of all records lie above
each of those. So only those values are kept; all values go to a temporary file, which is read through once at the end.
"""

from __future__ import annotations

import tempfile
from array import array

import numpy as np

from camtrap_tf.errors import CamtrapError

BUFFERED_VALUES = 1 << 18
"""Values (of 4 bytes) that are written and read at once."""


class AveragePrecisions:
    """Collects the values of records, class by class.

    A value takes 4 bytes in the folder for temporary files, and a class that is there 12 in memory.

    Args:
        classes: how many there are.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._rows = max(1, BUFFERED_VALUES // max(1, classes))
        self._held: list[np.ndarray] = []
        self._there, self._values = array("l"), array("f")
        self._file = tempfile.TemporaryFile(prefix="camtrap-evaluate-")  # noqa: SIM115 - closed when it is not needed any more

    def add(self, truth: np.ndarray, values: np.ndarray) -> None:
        """Adds a record.

        Args:
            truth: `[C]` bool, whether the class is there.
            values: `[C]`, higher for what is likelier there.

        Raises:
            CamtrapError: there is no room for the temporary file.
        """
        row = np.asarray(values, np.float32)
        there = np.flatnonzero(truth)
        self._there.extend(there.tolist())
        self._values.extend(row[there].tolist())
        self._held.append(row)
        if len(self._held) >= self._rows:
            self._write()

    def result(self) -> list[float | None]:
        """Returns for each class the sum over thresholds of precision times the recall that each adds.

        None where the class is never there.

        Records of equal value share a threshold. Source: the definition of scikit-learn's `average_precision_score`.
        """
        self._write()
        classes, values = np.asarray(self._there), np.asarray(self._values)
        thresholds, hits = [], []
        for index in range(self._classes):
            of_class, counts = np.unique(values[classes == index], return_counts=True)
            thresholds.append(of_class)
            hits.append(counts)
        places = [np.zeros(len(one) + 1, np.int64) for one in thresholds]
        self._file.seek(0)
        while data := self._file.read(4 * self._classes * self._rows):
            rows = np.frombuffer(data, np.float32).reshape(-1, self._classes)
            for index, own in enumerate(thresholds):
                if len(own):
                    at = np.searchsorted(own, rows[:, index], side="right")  # how many thresholds a record reaches
                    places[index] += np.bincount(at, minlength=len(own) + 1)
        return [_average(*one) for one in zip(hits, places, strict=True)]

    def _write(self) -> None:
        if not self._held:
            return
        try:
            self._file.seek(0, 2)
            self._file.write(np.stack(self._held).tobytes())
        except OSError as err:
            raise CamtrapError(
                f"{tempfile.gettempdir()}: no room for the values of the records ({err.strerror}); they take 4 bytes a record "
                f"and class ({self._classes}); set TMPDIR to a folder that has it"
            ) from err
        self._held.clear()


def _average(hits: np.ndarray, places: np.ndarray) -> float | None:
    """Returns the average precision of a class.

    Args:
        hits: `[T]` records at each threshold in which the class is there, thresholds in ascending order.
        places: `[T + 1]` records by how many thresholds they reach.
    """
    if not len(hits):
        return None
    found = np.cumsum(hits[::-1])[::-1]
    above = np.cumsum(places[:0:-1])[::-1]
    return float((hits * found / above).sum() / found[0])
