"""What is counted for a sigmoid head, of which several classes may be right at once, and its part of the report.

Of a record only a few numbers stay in memory, whatever the number of classes; all scores are exact, none is binned.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from camtrap_tf.evaluation import scores
from camtrap_tf.evaluation.precision import AveragePrecisions
from camtrap_tf.labels import PRESENT_FROM


class SeveralTally:
    """Collects the answers of one sigmoid head.

    Args:
        label: label type.
        class_names: class names by index.
        blank: what nothing being there is called.
    """

    def __init__(self, label: str, class_names: Sequence[str], *, blank: str) -> None:
        self.label = label
        self.class_names = tuple(class_names)
        self.unknown: Counter[str] = Counter()
        self._blank = blank
        self._of_unknown = 0
        self._records = 0
        self._right = array("b")
        self._locations = array("l")
        count = len(self.class_names)
        self._true, self._said, self._hit = (np.zeros(count, np.int64) for _ in range(3))
        self._blanks = np.zeros(3, np.int64)  # true, said, both
        self._same = 0
        self._sets: Counter[bytes] = Counter()
        self._precision = AveragePrecisions(count)
        self._pictures, self._pictures_right = 0, 0

    def add(self, target: np.ndarray, combined: np.ndarray, frames: np.ndarray, location: int = -1) -> None:
        """Adds one record.

        Args:
            target: `[C]`, 1 where the class is there; all negative where that is not known.
            combined: `[C]` probabilities of the record.
            frames: `[frames, C]` probabilities of its pictures.
            location: number of its location, negative where that is not known.

        Raises:
            CamtrapError: there is no room for temporary files.
        """
        self._records += 1
        if (target < 0).any():
            return
        values = combined.astype(np.float32)
        truth, said = target > 0, values >= PRESENT_FROM
        self._right.append(bool((truth == said).all()))
        self._locations.append(location)
        self._true += truth
        self._said += said
        self._hit += truth & said
        nothing = not truth.any(), not said.any()
        self._blanks += np.array([*nothing, all(nothing)])
        self._same += int((truth == said).sum())
        self._sets[np.packbits(truth).tobytes()] += 1
        self._precision.add(truth, values)
        self._pictures += len(frames)
        self._pictures_right += int(((frames >= PRESENT_FROM) == truth).all(axis=1).sum())

    def add_unknown(self, names: Sequence[str]) -> None:
        """Counts the classes of a record that has some which the model does not know."""
        self._of_unknown += 1
        self.unknown.update(set(names))

    def report(self, locations: Sequence[str]) -> dict[str, Any]:
        """Returns everything that is measured for this head, as plain values; shares are in [0, 1], None where undefined.

        Args:
            locations: their names by number.
        """
        right, numbers = np.asarray(self._right, bool), np.asarray(self._locations)
        labelled = len(right)
        of_class = scores.ClassScores(*_per_class(self._true, self._said, self._hit))
        precision = self._precision.result()
        defined = [value for value in precision if value is not None]
        blank = self._blank_row()
        return {
            "type": "sigmoid",
            "classes": list(self.class_names),
            "n_records": self._records,
            "n_labelled": labelled,
            "n_missing": self._records - labelled - self._of_unknown,
            "n_unknown": self._of_unknown,
            "unknown_classes": dict(self.unknown.most_common()),
            "accuracy": float(right.mean()) if labelled else None,
            "n_right": int(right.sum()),
            "interval_95": scores.as_list(scores.wilson_interval(int(right.sum()), labelled)),
            "interval_95_over_locations": _over_locations(right, numbers),
            "baseline": self._baseline(),
            "macro_f1": scores.macro_f1(of_class),
            "micro_f1": _ratio(2 * self._hit.sum(), self._true.sum() + self._said.sum()),
            "mean_average_precision": float(np.mean(defined)) if defined else None,
            "label_accuracy": _ratio(self._same, labelled * len(self.class_names)),
            "n_blank": blank["support"],
            "blank_recall": blank["recall"],
            "blank": blank,
            "pictures": {"n_labelled": self._pictures, "accuracy": _ratio(self._pictures_right, self._pictures)},
            "per_class": [
                {**scores.class_row(name, of_class, i), "average_precision": precision[i]}
                for i, name in enumerate(self.class_names)
            ],
            "per_location": _per_location(right, numbers, locations),
        }

    def _blank_row(self) -> dict[str, Any]:
        """Returns how records are done in which nothing is there; the answer is that where no class reaches one half."""
        columns = (self._blanks[i : i + 1] for i in range(3))
        return scores.class_row(self._blank, scores.ClassScores(*_per_class(*columns)), 0)

    def _baseline(self) -> dict[str, Any] | None:
        """Returns what always giving the most frequent set of classes would achieve; of equally frequent ones the least."""
        if not self._sets:
            return None
        most = max(self._sets.values())
        bits = min(one for one, count in self._sets.items() if count == most)
        row = np.unpackbits(np.frombuffer(bits, np.uint8), count=len(self.class_names))
        names = [name for name, there in zip(self.class_names, row, strict=True) if there]
        share = most / self._sets.total()
        return {"class": " + ".join(names) or self._blank, "accuracy": share, "most_frequent_in": "evaluated records"}


def _over_locations(right: np.ndarray, numbers: np.ndarray) -> list[float] | None:
    return scores.as_list(scores.bootstrap_interval(right, numbers)) if len(numbers) and (numbers >= 0).all() else None


def _per_location(right: np.ndarray, numbers: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for number in np.unique(numbers[numbers >= 0]):
        here = numbers == number
        n, n_right = int(here.sum()), int(right[here].sum())
        interval = scores.as_list(scores.wilson_interval(n_right, n))
        rows.append({"location": names[number], "n": n, "accuracy": n_right / n, "interval_95": interval})
    return sorted(rows, key=lambda row: (-row["n"], row["location"]))


def _per_class(support: np.ndarray, predicted: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns support, predicted, precision, recall and F1, each `[C]`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return support, predicted, right / predicted, right / support, 2 * right / (support + predicted)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
