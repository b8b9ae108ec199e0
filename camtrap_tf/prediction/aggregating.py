"""The stage `predict aggregate`: a table of probabilities in, one of the same form over coarser classes out; no model runs.

Rows go through one by one. What is not about the chosen label type stays as it is, and so do records without a prediction.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from camtrap_tf.config.predictions_used import PredictAggregateConfig
from camtrap_tf.errors import LabelError, SettingError, SourceError, counted
from camtrap_tf.files import check_output_file, check_writable, json_line
from camtrap_tf.prediction.aggregation import best_answer
from camtrap_tf.prediction.answer_tables import (
    PATH,
    AnswerTable,
    numbers,
    open_answers,
    several_classes,
    wide_values,
)
from camtrap_tf.prediction.results_reading import class_probabilities
from camtrap_tf.prediction.targets import TargetColumns, Targets, read_targets
from camtrap_tf.prediction.writers import DECIMALS, PRESENT, text_file
from camtrap_tf.progress import track
from camtrap_tf.records import MISSING
from camtrap_tf.sources.split_files import write_label_index

SUM_TOLERANCE = 0.01
ROUNDING = 5e-5
"""Probabilities of a record add up to 1 within the tolerance, and half a unit of four decimals for each class."""


@dataclass
class AggregateSummary:
    """What was added up; `text` is printed.

    Attributes:
        output: what was written.
        label: label type; None of a table with a column per class.
        columns: targets and what they are made of.
        classes: how many classes became targets.
        records: how many there were.
        unpredicted: those without a prediction, which stayed as they are.
        dry_run: nothing was written.
    """

    output: Path
    label: str | None
    columns: TargetColumns = field(default_factory=lambda: TargetColumns((), (), {}, ()))
    classes: int = 0
    records: int = 0
    unpredicted: int = 0
    dry_run: bool = False

    def text(self) -> str:
        """Returns the summary for people."""
        names = self.columns.names
        lines = [
            f"records: {self.records} in = {self.records - self.unpredicted} added up + {self.unpredicted} without a "
            "prediction, as they were",
            f"{self.label or 'classes'}: {counted(self.classes, 'class', 'es')} → {counted(len(names), 'target')}: "
            + ", ".join(names),
        ]
        if self.columns.rest:
            lines.append(f"  in no target, so in other: {', '.join(self.columns.rest)}")
        if self.dry_run:
            return "\n".join(["Plan of predict aggregate (nothing is written)", *lines, f"  would write {self.output}"])
        return "\n".join([*lines, f"  {self.output}"])


class ClassSums:
    """Adds up the probabilities of records; learns at the first one which classes there are."""

    def __init__(self, targets: Targets, table: Path) -> None:
        """Takes the targets, and the table whose classes they are made of."""
        self._targets, self._table = targets, table
        self.columns: TargetColumns | None = None
        self.classes: tuple[str, ...] = ()
        self._known: frozenset[str] = frozenset()

    def over(self, classes: tuple[str, ...]) -> TargetColumns:
        """Returns what the targets are made of, over these classes.

        Raises:
            LabelError: a class of the mapping is none of them.
        """
        if self.columns is None:
            self.classes, self.columns = classes, self._targets.over(classes, str(self._table))
            self._known = frozenset(classes)
        return self.columns

    def of(self, by_class: Mapping[str, float], where: str) -> np.ndarray:
        """Returns the probabilities `[T]` of the targets.

        Args:
            by_class: class → probability.
            where: they stand, for the message.

        Raises:
            SourceError: there are other classes than before, or they do not add up to 1.
            LabelError: a class of the mapping is none of the table.
        """
        columns = self.over(tuple(by_class))
        if by_class.keys() != self._known:
            raise SourceError(f"{where}: has other classes than the records before; is the table of one model?")
        values = np.array([by_class[name] for name in self.classes])
        if abs(values.sum() - 1) > SUM_TOLERANCE + ROUNDING * len(values) or values.min() < 0:
            raise SourceError(
                f"{where}: its probabilities add up to {values.sum():.4g}, not to 1: its classes do not exclude each other, or "
                "frames were put together by max or min; predict with another --aggregation-mode"
            )
        capped: np.ndarray = np.minimum(columns.summed(values), 1.0)
        return capped

    def named(self, values: np.ndarray) -> dict[str, float]:
        """Returns target → probability, rounded as tables are."""
        names = self.columns.names if self.columns is not None else ()
        return {name: round(float(value), DECIMALS) for name, value in zip(names, values, strict=True)}


def aggregate_predictions(config: PredictAggregateConfig) -> AggregateSummary:
    """Writes a table of probabilities over coarser classes.

    Raises:
        SettingError: the output cannot be written, or it is not clear which label type is meant.
        SourceError: table or mapping cannot be read, or probabilities do not add up to 1.
        LabelError: the mapping does not go with the table.
    """
    targets = read_targets(config.target_mapping, config.target_index)
    table = open_answers(config.results_file)
    label = table.label(config.label)
    _check(config, table)
    sums = ClassSums(targets, table.path)
    summary = AggregateSummary(config.output, label, dry_run=config.dry_run)
    with open(os.devnull, "w", encoding="utf-8") if config.dry_run else text_file(config.output) as file:
        if table.form == "json":
            lines = _json_lines(table, label or "", sums, summary)
            file.writelines(track(lines, total=None, description="Adding up", unit="records"))
        else:
            rows = _wide_rows(table, sums, summary) if table.form == "wide" else _rows(table, label or "", sums, summary)
            legacy, plain = csv.writer(file, quoting=csv.QUOTE_ALL), csv.writer(file, lineterminator="\n")
            writer = legacy if table.is_legacy else plain
            writer.writerows(track(rows, total=None, description="Adding up", unit="rows"))
        if sums.columns is None or summary.records == summary.unpredicted:
            raise SourceError(f"{table.path}: no record of it was predicted; there is nothing to add up")
    if config.output_index is not None and not config.dry_run:
        write_label_index(config.output_index, sums.columns.names)
    return replace(summary, columns=sums.columns, classes=len(sums.classes))


def _check(config: PredictAggregateConfig, table: AnswerTable) -> None:
    """Makes sure that there is a meaning to what was asked for, and room for it.

    Raises:
        SettingError: there is none.
    """
    if table.form == "wide" and config.label is not None:
        raise SettingError(f"--label {config.label}: {table.path} has a column per class and no label types; leave it out")
    if table.has_stated:
        raise SettingError(
            f"--results-file {table.path}: has true classes and their weights, which would no longer hold; `camtrap predict "
            "--split --target-mapping` writes such a table over coarser classes"
        )
    ends = (".json",) if table.form == "json" else (".csv", ".csv.gz")
    if not config.output.name.lower().endswith(ends):
        raise SettingError(
            f"--output {config.output}: the table has the form of {table.path.name}; end it in {' or '.join(ends)}"
        )
    read = [path for path in (config.results_file, config.target_mapping, config.target_index) if path is not None]
    check_output_file(config.output, "--output", suffixes=(".json", ".csv", ".gz"), sources=read)
    check_writable(config.output.parent, "--output")
    if config.output_index is not None:
        check_output_file(config.output_index, "--output-index", suffixes=(".json",), sources=(*read, config.output))
        check_writable(config.output_index.parent, "--output-index")


def _wide_rows(table: AnswerTable, sums: ClassSums, summary: AggregateSummary) -> Iterator[list[str]]:
    """Yields header and rows of a table with a column per class."""
    names = sums.over(table.classes).names
    yield [PATH, *names]
    for where, row in table.rows():
        by_class = wide_values(table, row, where)
        summary.records += 1
        summary.unpredicted += not by_class
        cells = [f"{value:.{DECIMALS}f}" for value in sums.of(by_class, where)] if by_class else [""] * len(names)
        yield [row[0], *cells]


def _rows(table: AnswerTable, label: str, sums: ClassSums, summary: AggregateSummary) -> Iterator[list[str]]:
    """Yields header and rows of a CSV with a row per record and label type."""
    at = {name: place for place, name in enumerate(table.header)}
    yield list(table.header)
    for where, row in table.rows():
        if row[at["label"]] != label:
            yield row
            continue
        if PRESENT in at and row[at[PRESENT]]:
            raise LabelError(several_classes(label, where))
        by_class = numbers(class_probabilities(row[at["predictions_all"]], where, as_json="error" in at), where)
        summary.records += 1
        summary.unpredicted += not by_class
        if by_class:
            values = sums.of(by_class, where)
            named, (top, confidence) = sums.named(values), best_answer(values, list(sums.over(()).names))
            texts = {name: f"{value:.4f}" for name, value in zip(named, values, strict=True)}
            cells = {
                "prediction_top": top,
                "confidence_top": f"{confidence:.4f}" if table.is_legacy else str(round(confidence, DECIMALS)),
                "predictions_all": repr(texts) if table.is_legacy else json.dumps(named, ensure_ascii=False),
            }
            for name, cell in cells.items():
                row[at[name]] = cell
        yield row


def _json_lines(table: AnswerTable, label: str, sums: ClassSums, summary: AggregateSummary) -> Iterator[str]:
    """Yields the lines of a JSON."""
    start = "{"
    for where, record_id, entry in table.entries():
        if label in entry.get(PRESENT, {}):
            raise LabelError(several_classes(label, where))
        summary.records += 1
        summary.unpredicted += not entry["aggregated_pred"].get(label)
        changed = _entry(entry, label, sums, where)
        yield f"{start}{json_line(record_id)}:{json_line(changed)}"
        start = ",\n"
    yield "}\n" if start == ",\n" else "{}\n"


def _entry(entry: dict[str, Any], label: str, sums: ClassSums, where: str) -> dict[str, Any]:
    """Returns an entry of a JSON over the targets."""

    def over(by_label: dict[str, Any]) -> dict[str, Any]:
        """Returns label type → class → probability with the targets in place of the classes; texts stay texts."""
        given = by_label.get(label)
        if not given:
            return by_label
        values = sums.of(numbers(given, where), where)
        texts = isinstance(next(iter(given.values())), str)
        named = {name: f"{value:.4f}" for name, value in sums.named(values).items()} if texts else sums.named(values)
        return {**by_label, label: named}

    changed = dict(entry)
    changed["images"] = [{**one, "predictions": over(one.get("predictions", {}))} for one in entry["images"]]
    changed["aggregated_pred"] = over(entry["aggregated_pred"])
    summed = changed["aggregated_pred"].get(label)
    if summed:
        top = max(summed, key=lambda name: float(summed[name]))
        changed["predictions_top"] = {**entry.get("predictions_top", {}), label: top}
        changed["confidences_top"] = {**entry.get("confidences_top", {}), label: summed[top]}
        stated = entry.get("ground_truth", {}).get(label)
        if isinstance(stated, list):
            raise LabelError(several_classes(label, where))
        if stated is not None and str(stated) != MISSING:
            target = sums.over(()).truth(str(stated))
            changed["ground_truth"] = {**entry["ground_truth"], label: stated if target is None else target}
    return changed
