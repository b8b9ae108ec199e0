"""What is counted while records pass by, and the part of the report that it makes for one head.

Per record only a few numbers are kept, never its probabilities, so memory does not depend on the number of classes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from camtrap_tf.config.names import HeadType
from camtrap_tf.evaluation import scores
from camtrap_tf.prediction.scores import accuracy, class_counts, majority_baseline

HIGH_CONFIDENCE = 0.95
"""From this value of the top class an answer counts as confident."""
LOCATION_FIELDS = ("location", "location_id", "locationID", "location_name", "site", "station", "camera")
"""Meta data fields that say where a record was taken, best first."""


class HeadTally:
    """Collects the answers of one head.

    Args:
        label: label type.
        class_names: class names by index.
        kind: of the head.
    """

    def __init__(self, label: str, class_names: Sequence[str], *, kind: HeadType = "softmax") -> None:
        self.label = label
        self.kind = kind
        self.class_names = tuple(class_names)
        self.unknown: Counter[str] = Counter()
        self._targets, self._predicted = array("l"), array("l")
        self._confidence = array("d")
        self._in_top = array("b")
        self._locations = array("l")
        self._picture_targets, self._picture_predicted = array("l"), array("l")

    def add(self, target: int, combined: np.ndarray, frames: np.ndarray, location: int = -1) -> None:
        """Adds one record.

        Args:
            target: index of its class, negative where it is missing or not in the mapping.
            combined: `[C]` probabilities of the record.
            frames: `[frames, C]` probabilities of its pictures.
            location: number of its location, negative where that is not known.
        """
        predicted = int(np.argmax(combined))
        self._targets.append(target)
        self._predicted.append(predicted)
        self._confidence.append(float(combined[predicted]))
        self._in_top.append(target >= 0 and scores.in_top_k(combined, target))
        self._locations.append(location)
        self._picture_targets.extend([target] * len(frames))
        self._picture_predicted.extend(np.argmax(frames, axis=1).tolist())

    def add_unknown(self, names: Sequence[str]) -> None:
        """Counts a record of a class that the model does not know; of several names the first."""
        self.unknown[names[0]] += 1

    def report(self, locations: Sequence[str]) -> dict[str, Any]:
        """Returns everything that is measured for this head, as plain values; shares are in [0, 1], None where undefined.

        Args:
            locations: their names by number.
        """
        targets, predicted, confidence = (np.asarray(one) for one in (self._targets, self._predicted, self._confidence))
        known = targets >= 0
        right = known & (targets == predicted)
        confusion = scores.confusion_matrix(targets, predicted, len(self.class_names))
        of_class = scores.class_scores(confusion)
        many = len(self.class_names) > scores.TOP_K
        unknown = sum(self.unknown.values())
        return {
            "type": self.kind,
            "classes": list(self.class_names),
            "n_records": len(targets),
            "n_labelled": int(known.sum()),
            "n_missing": int((~known).sum()) - unknown,
            "n_unknown": unknown,
            "unknown_classes": dict(self.unknown.most_common()),
            "accuracy": accuracy(targets, predicted),
            "n_right": int(right.sum()),
            "interval_95": scores.as_list(scores.wilson_interval(int(right.sum()), int(known.sum()))),
            "interval_95_over_locations": self._interval_over_locations(known, right),
            "baseline": self._baseline(targets),
            "macro_f1": scores.macro_f1(of_class),
            "balanced_accuracy": scores.balanced_accuracy(of_class),
            "top_5_accuracy": float(np.mean(np.asarray(self._in_top)[known])) if many and known.any() else None,
            "within_one_bin": self._within_one_bin(confusion),
            "pictures": self._pictures(),
            "high_confidence": _confident(confidence[known], right[known]),
            "confidence_bins": scores.confidence_bins(confidence[known], right[known]),
            "per_class": [scores.class_row(name, of_class, i) for i, name in enumerate(self.class_names)],
            "confusion": confusion.tolist(),
            "most_confused": self._most_confused(confusion),
            "per_location": self._per_location(known, right, confidence, locations),
        }

    def _baseline(self, targets: np.ndarray) -> dict[str, Any] | None:
        found = majority_baseline(class_counts(targets, len(self.class_names)))
        return None if found is None else {"class": self.class_names[found.index], "accuracy": found.accuracy}

    def _within_one_bin(self, confusion: np.ndarray) -> dict[str, Any] | None:
        order = scores.count_order(self.class_names)
        if order is None:
            return None
        bins = [self.class_names[i] for i in np.argsort(order, kind="stable") if order[i] >= 0]
        return {
            "bins": bins,
            "accuracy": scores.within_one_bin(confusion, order),
            "mean_error": scores.mean_bin_error(confusion, order),
        }

    def _pictures(self) -> dict[str, Any]:
        targets, predicted = np.asarray(self._picture_targets), np.asarray(self._picture_predicted)
        n_right = int(np.sum((targets >= 0) & (targets == predicted)))
        n = int(np.sum(targets >= 0))
        interval = scores.as_list(scores.wilson_interval(n_right, n))
        return {"n_labelled": n, "accuracy": accuracy(targets, predicted), "interval_95": interval}

    def _most_confused(self, confusion: np.ndarray) -> list[dict[str, Any]]:
        return [
            {
                "class": self.class_names[truth],
                "predicted": self.class_names[given],
                "n": n,
                "share_of_class": n / int(confusion[truth].sum()),
            }
            for truth, given, n in scores.most_confused(confusion)
        ]

    def _per_location(
        self, known: np.ndarray, right: np.ndarray, confidence: np.ndarray, names: Sequence[str]
    ) -> list[dict[str, Any]]:
        numbers = np.asarray(self._locations)
        rows = []
        for number in np.unique(numbers[known & (numbers >= 0)]):
            here = known & (numbers == number)
            n, n_right = int(here.sum()), int(right[here].sum())
            rows.append({
                "location": names[number], "n": n, "accuracy": n_right / n,
                "interval_95": scores.as_list(scores.wilson_interval(n_right, n)),
                "high_confidence": _confident(confidence[here], right[here]),
            })  # fmt: skip
        return sorted(rows, key=lambda row: (-row["n"], row["location"]))

    def _interval_over_locations(self, known: np.ndarray, right: np.ndarray) -> list[float] | None:
        here = known & (np.asarray(self._locations) >= 0)
        if not here.any() or not here[known].all():
            return None
        return scores.as_list(scores.bootstrap_interval(right[here], np.asarray(self._locations)[here]))


def _confident(confidence: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    sure = confidence >= HIGH_CONFIDENCE
    return {
        "threshold": HIGH_CONFIDENCE,
        "n": int(sure.sum()),
        "share": float(sure.mean()) if len(sure) else None,
        "accuracy": float(right[sure].mean()) if sure.any() else None,
    }
