"""Scores of a training epoch by epoch, read from what a training wrote: ours, camera-trap-classifier's, ai-taxonomist's.

Whatever the source, epochs count from 1 and shares lie in [0, 1].
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from camtrap_tf.errors import SourceError

TABLES = ("metrics.csv", "training.log")
"""What is looked for in a run folder, in this order."""
_RATES = ("lr", "learning_rate")
_NOT_SCORES = ("epoch", "step")
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf)"
_STEP = re.compile(r"Epoch:\s*\[\s*(\d+)\s*\]\[\s*\d+\s*/\s*\d+\s*\]")
_AVERAGE = re.compile(rf"(Loss|Acc@1|Acc@5)\s+{_NUMBER}\s*\(\s*{_NUMBER}\s*\)")
_SUMMARY = re.compile(rf"^\s*\*\s*Acc@1\s+{_NUMBER}\s+Acc@5\s+{_NUMBER}(?:\s+ValLoss\s+{_NUMBER})?")
_RATE = re.compile(rf"LearningRate:\s*(\d+)\s+{_NUMBER}")
_NAMES = {"Loss": "loss", "Acc@1": "accuracy", "Acc@5": "top_5_accuracy"}


@dataclass(frozen=True, slots=True)
class Curve:
    """One score over the epochs.

    Attributes:
        part: `training` or `validation`; empty for the learning rate.
        label: label type; empty for totals.
        score: e.g. `loss`, `accuracy`, `top_k_accuracy`, `lr`.
        values: epoch, from 1 → value; epochs without one are left out.
    """

    part: str
    label: str
    score: str
    values: Mapping[int, float]

    @property
    def is_loss(self) -> bool:
        """Whether lower is better, without an upper end."""
        return self.score.endswith("loss")

    @property
    def is_rate(self) -> bool:
        """Whether it is the learning rate."""
        return self.score == "lr"

    def best(self) -> tuple[int, float] | None:
        """Returns the best epoch and its value; the first of equal ones."""
        sound = {epoch: value for epoch, value in self.values.items() if math.isfinite(value)}
        if not sound:
            return None
        epoch = (min if self.is_loss or self.score == "bin_error" else max)(sound, key=lambda one: sound[one])
        return epoch, sound[epoch]


def read_curves(path: Path) -> list[Curve]:
    """Returns the curves of a run folder or log file.

    Raises:
        SourceError: nothing there, or nothing in it that is known.
    """
    file = path
    if path.is_dir():
        found = [path / name for name in TABLES if (path / name).is_file()]
        if not found:
            raise SourceError(f"{path}: neither {' nor '.join(TABLES)} in this folder; give a run folder or a log file")
        file = found[0]
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as err:
        raise SourceError(f"{file}: cannot be read ({err.strerror}); give a run folder or a log file") from err
    curves = of_lines(text) if _STEP.search(text) or _RATE.search(text) else of_table(text)
    if not curves:
        raise SourceError(
            f"{file}: holds no scores; known are metrics.csv, training.log (a CSV with a column epoch) and ai-taxonomist's log"
        )
    return curves


def of_table(text: str) -> list[Curve]:
    """Returns the curves of a CSV with one row per epoch; a table that counts epochs from 0 is moved up by one.

    Columns: `epoch`, `loss`, `val_loss`, `label/<type>_<score>`, `val_label/<type>_<score>`, `lr`; others with numbers are
    scores of no label type. Of two rows of one epoch the later one counts. Header lines in between are skipped.
    """
    reader = csv.DictReader(io.StringIO(text))
    if "epoch" not in (reader.fieldnames or ()):
        return []
    rows = {}
    for row in reader:
        epoch = _number(row["epoch"])
        if epoch is not None and math.isfinite(epoch):
            rows[int(epoch)] = row
    shift = 1 if 0 in rows else 0
    curves = []
    for column in reader.fieldnames or ():
        if column in _NOT_SCORES:
            continue
        values = {epoch + shift: _number(row.get(column)) for epoch, row in sorted(rows.items())}
        known = {epoch: value for epoch, value in values.items() if value is not None}
        if known:
            curves.append(Curve(*_meaning(column), known))
    return curves


def _meaning(column: str) -> tuple[str, str, str]:
    """Returns part, label type and score of a column."""
    if column in _RATES:
        return "", "", "lr"
    part, name = ("validation", column[4:]) if column.startswith("val_") else ("training", column)
    if name.startswith("label/"):
        scores = "top_k_accuracy weighted_accuracy weighted_loss within_one_bin bin_error micro_f1 macro_f1 accuracy acc loss"
        for score in scores.split():
            if name.endswith(f"_{score}"):
                return part, name[len("label/") : -len(score) - 1], "accuracy" if score == "acc" else score
        label, _, score = name.removeprefix("label/").rpartition("_")
        return part, label, score
    return part, "", "accuracy" if name == "acc" else name


def of_lines(text: str) -> list[Curve]:
    """Returns the curves of ai-taxonomist's log: averages at the last step of each epoch, and what stands after `*`."""
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    epoch = 0

    def keep(part: str, score: str, value: float | None, *, factor: float = 1.0, at: int) -> None:
        """Keeps a value under its score, epochs counted from 1."""
        if value is not None:
            found.setdefault((part, "", score), {})[at + 1] = value * factor

    for line in text.splitlines():
        if step := _STEP.search(line):
            epoch = int(step[1])
            for name, _, average in _AVERAGE.findall(line):
                keep("training", _NAMES[name], _number(average), factor=1.0 if name == "Loss" else 0.01, at=epoch)
        elif summary := _SUMMARY.search(line):
            keep("validation", "accuracy", _number(summary[1]), factor=0.01, at=epoch)
            keep("validation", "top_5_accuracy", _number(summary[2]), factor=0.01, at=epoch)
            keep("validation", "loss", _number(summary[3]), at=epoch)
        elif rate := _RATE.search(line):
            keep("", "lr", _number(rate[2]), at=int(rate[1]))
    return [Curve(*name, dict(sorted(values.items()))) for name, values in found.items()]


def of_labels(curves: Iterable[Curve], labels: Iterable[str]) -> list[Curve]:
    """Returns totals and rates, and of the rest only those of these label types."""
    wanted = {"", *labels}
    return [curve for curve in curves if curve.label in wanted]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text not in (None, "") else None
    except ValueError:
        return None
