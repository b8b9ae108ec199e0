"""The report of an evaluation: `report.json` with every number, `report.html` for people, in a file that loads nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from camtrap_tf.evaluation.scores import class_order
from camtrap_tf.files import write_json, write_text

MATRIX_CLASSES = 25
"""Classes of a confusion matrix that are shown one by one; the others are put together in `other classes`."""
OTHERS = "other classes"
NARROW_SPACE = "\u202f"
NONE = "–"
"""Shown where a measure has no value."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of pictures beside the page.

    Attributes:
        title: what it shows.
        file: its address, relative to the page.
    """

    title: str
    file: str


def report_paths(folder: Path) -> tuple[Path, Path]:
    """Returns where `write_report` writes."""
    return folder / "report.json", folder / "report.html"


def write_report(report: Mapping[str, Any], folder: Path, sheets: Sequence[Sheet] = ()) -> tuple[Path, Path]:
    """Writes `report.json` and `report.html`.

    Args:
        report: what `evaluate_bundle` returns.
        folder: where to.
        sheets: sheets of pictures in the folder, to be shown on the page.

    Returns:
        Paths of both.
    """
    as_json, as_html = report_paths(folder)
    write_json(as_json, report)
    write_text(as_html, render_html(report, sheets))
    return as_json, as_html


def render_html(report: Mapping[str, Any], sheets: Sequence[Sheet] = ()) -> str:
    """Returns the report as one HTML page: styles and drawings inside, no script, nothing fetched but sheets beside it."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(percent=percent, whole=whole, number_of=number_of, fixed=fixed)
    template = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    orders = {label: ordered_classes(head) for label, head in report["heads"].items()}
    matrices = {
        label: shown_matrix(head["confusion"], head["classes"], bins=_bins(head))
        for label, head in report["heads"].items()
        if "confusion" in head
    }
    return environment.from_string(template).render(report=report, matrices=matrices, orders=orders, sheets=sheets)


def ordered_classes(head: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the rows of the table of classes: count bins in their order, other classes with most records first."""
    bins = _bins(head)
    place = {name: i for i, name in enumerate(bins)}
    return sorted(head["per_class"], key=lambda row: (place.get(row["class"], len(bins)), -row["support"]))


def _bins(head: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(head["within_one_bin"]["bins"]) if head.get("within_one_bin") else ()


def shown_matrix(
    confusion: Sequence[Sequence[int]], names: Sequence[str], *, bins: Sequence[str] = (), limit: int = MATRIX_CLASSES
) -> dict[str, Any]:
    """Returns a confusion matrix as it is shown: classes that occur, in their order; of many those of most records.

    Args:
        confusion: `[C, C]`, rows are true classes.
        names: C class names.
        bins: classes that come first, in their order.
        limit: classes shown one by one.

    Returns:
        `names`, `rows` (each `name`, `support`, `cells` of `n` and `share`, where `share` is None in an empty row),
        `hidden`, the number of classes that were put together, and `absent`, the names of those that do not occur.
    """
    matrix = np.asarray(confusion, np.int64).reshape(len(names), len(names))
    occurring = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    kept = occurring if len(occurring) <= limit else np.sort(class_order(matrix, limit=limit))
    hidden = np.setdiff1d(occurring, kept)
    place = {name: i for i, name in enumerate(bins)}
    shown_one_by_one = sorted(kept, key=lambda i: place.get(names[i], len(bins)))
    groups = [[i] for i in shown_one_by_one] + ([list(hidden)] if len(hidden) else [])
    shown = [names[group[0]] if i < len(kept) else OTHERS for i, group in enumerate(groups)]
    small = np.array([[matrix[np.ix_(row, column)].sum() for column in groups] for row in groups], np.int64)
    small = small.reshape(len(groups), len(groups))
    rows = []
    for name, counts in zip(shown, small, strict=True):
        total = int(counts.sum())
        cells = [{"n": int(n), "share": int(n) / total if total else None} for n in counts]
        rows.append({"name": name, "support": total, "cells": cells})
    absent = [names[i] for i in np.setdiff1d(np.arange(len(names)), occurring)]
    return {"names": shown, "rows": rows, "hidden": len(hidden), "absent": absent}


def percent(value: float | None, digits: int = 1, *, space: str = NARROW_SPACE) -> str:
    """Returns a share as text, e.g. `81.2 %`."""
    return NONE if value is None else f"{100 * value:.{digits}f}{space}%"


def fixed(value: float | None, digits: int = 3) -> str:
    """Returns a number as text with a fixed number of decimals."""
    return NONE if value is None else f"{value:.{digits}f}"


def whole(value: int | None) -> str:
    """Returns a count as text, thousands set apart."""
    return NONE if value is None else f"{value:,}".replace(",", NARROW_SPACE)


def number_of(value: int, what: str) -> str:
    """Returns a count and what it counts, as one says it: `1 record`, `1 200 records`."""
    return f"{whole(value)} {what}{'' if value == 1 else 's'}"
