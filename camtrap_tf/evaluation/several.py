"""What is counted for a sigmoid head, of which several classes may be right at once, and its part of the report.

The probabilities of all records are kept, four bytes for each class, since average precision needs their order.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from camtrap_tf.evaluation import scores
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
        self._targets: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._locations = array("l")
        self._pictures, self._pictures_right = 0, 0

    def add(self, target: np.ndarray, combined: np.ndarray, frames: np.ndarray, location: int = -1) -> None:
        """Adds one record.

        Args:
            target: `[C]`, 1 where the class is there; all negative where that is not known.
            combined: `[C]` probabilities of the record.
            frames: `[frames, C]` probabilities of its pictures.
            location: number of its location, negative where that is not known.
        """
        self._targets.append(target.astype(np.int8))
        self._values.append(combined.astype(np.float32))
        self._locations.append(location)
        if (target >= 0).all():
            self._pictures += len(frames)
            self._pictures_right += int(((frames >= PRESENT_FROM) == (target > 0)).all(axis=1).sum())

    def add_unknown(self, names: Sequence[str]) -> None:
        """Counts the classes of a record that has some which the model does not know."""
        self._of_unknown += 1
        self.unknown.update(set(names))

    def report(self, locations: Sequence[str]) -> dict[str, Any]:
        """Returns everything that is measured for this head, as plain values; shares are in [0, 1], None where undefined.

        Args:
            locations: their names by number.
        """
        count = len(self.class_names)
        targets = np.array(self._targets, np.int8).reshape(-1, count)
        values = np.array(self._values, np.float32).reshape(-1, count)
        known = (targets >= 0).all(axis=1)
        truth, values = targets[known] > 0, values[known]
        said = values >= PRESENT_FROM
        right = (truth == said).all(axis=1)
        of_class = scores.ClassScores(*_per_class(truth, said))
        precision = [scores.average_precision(truth[:, i], values[:, i]) for i in range(count)]
        defined = [value for value in precision if value is not None]
        return {
            "type": "sigmoid",
            "classes": list(self.class_names),
            "n_records": len(known),
            "n_labelled": int(known.sum()),
            "n_missing": int((~known).sum()) - self._of_unknown,
            "n_unknown": self._of_unknown,
            "unknown_classes": dict(self.unknown.most_common()),
            "accuracy": float(right.mean()) if len(right) else None,
            "n_right": int(right.sum()),
            "interval_95": _list(scores.wilson_interval(int(right.sum()), len(right))),
            "interval_95_over_locations": self._interval_over_locations(known, right),
            "baseline": self._baseline(truth),
            "macro_f1": scores.macro_f1(of_class),
            "micro_f1": _ratio(2 * (truth & said).sum(), truth.sum() + said.sum()),
            "mean_average_precision": float(np.mean(defined)) if defined else None,
            "label_accuracy": float((truth == said).mean()) if len(right) else None,
            "n_blank": int((~truth.any(axis=1)).sum()),
            "blank_recall": _ratio((~said.any(axis=1) & ~truth.any(axis=1)).sum(), (~truth.any(axis=1)).sum()),
            "pictures": {"n_labelled": self._pictures, "accuracy": _ratio(self._pictures_right, self._pictures)},
            "per_class": [
                {
                    "class": name,
                    "support": int(of_class.support[i]),
                    "predicted": int(of_class.predicted[i]),
                    "precision": _share(of_class.precision[i]),
                    "recall": _share(of_class.recall[i]),
                    "f1": _share(of_class.f1[i]),
                    "average_precision": precision[i],
                }
                for i, name in enumerate(self.class_names)
            ],
            "per_location": self._per_location(known, right, locations),
        }

    def _baseline(self, truth: np.ndarray) -> dict[str, Any] | None:
        """Returns what always giving the most frequent set of classes would achieve."""
        if not len(truth):
            return None
        rows, counts = np.unique(truth, axis=0, return_counts=True)
        names = [name for name, there in zip(self.class_names, rows[counts.argmax()], strict=True) if there]
        share = float(counts.max() / counts.sum())
        return {"class": " + ".join(names) or self._blank, "accuracy": share, "most_frequent_in": "evaluated records"}

    def _interval_over_locations(self, known: np.ndarray, right: np.ndarray) -> list[float] | None:
        numbers = np.asarray(self._locations)[known]
        return _list(scores.bootstrap_interval(right, numbers)) if len(numbers) and (numbers >= 0).all() else None

    def _per_location(self, known: np.ndarray, right: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
        numbers = np.asarray(self._locations)[known]
        rows = []
        for number in np.unique(numbers[numbers >= 0]):
            here = numbers == number
            n, n_right = int(here.sum()), int(right[here].sum())
            interval = _list(scores.wilson_interval(n_right, n))
            rows.append({"location": names[number], "n": n, "accuracy": n_right / n, "interval_95": interval})
        return sorted(rows, key=lambda row: (-row["n"], row["location"]))


def _per_class(truth: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns support, predicted, precision, recall and F1, each `[C]`."""
    right, support, predicted = (truth & said).sum(axis=0), truth.sum(axis=0), said.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return support, predicted, right / predicted, right / support, 2 * right / (support + predicted)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _share(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _list(pair: tuple[float, float] | None) -> list[float] | None:
    return None if pair is None else list(pair)
