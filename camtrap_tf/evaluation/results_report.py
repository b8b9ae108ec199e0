"""The stage `evaluate results`: a results file and its COCO Camera Traps file in; a page, tables and sheets of pictures out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from camtrap_tf import __version__
from camtrap_tf.config.training_files import EvaluateResultsConfig
from camtrap_tf.errors import SettingError, counted, suggestion
from camtrap_tf.evaluation.evaluate import score_table
from camtrap_tf.evaluation.heads import HeadTally
from camtrap_tf.evaluation.report import Sheet, report_paths, write_report
from camtrap_tf.evaluation.results_file import Results, read_results
from camtrap_tf.evaluation.sheets import FOLDER, PictureSheet, write_sheets
from camtrap_tf.files import check_writable, join_inside, require_folder, sha256_file, writable_folder, write_csv
from camtrap_tf.prediction.dry_run import DryRun
from camtrap_tf.sources.cct_document import CctDocument

ROW_COLUMNS = (
    "path", "true", "predicted", "score", "second", "second_score", "right", "location", "datetime", "original", "original_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ResultsReport:
    """What was found out about a results file.

    Attributes:
        report: content of `report.json`.
        notes: what the user should know.
        files: that were written.
        sheets: how many sheets of pictures.
    """

    report: Mapping[str, Any]
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    sheets: int

    def text(self) -> str:
        """Returns the scores, and where everything is."""
        data = self.report["data"]
        lines = [f"{data['records']} pictures at {data['locations']} locations", *score_table(self.report["heads"])]
        return "\n".join([*lines, *self.notes, *(f"  {path}" for path in self.files), f"  {self.sheets} sheets of pictures"])


def evaluate_results(config: EvaluateResultsConfig) -> ResultsReport | DryRun:
    """Measures a results file and writes `report.html`, `report.json`, tables and sheets.

    With `dry_run` says what it would do, and writes nothing.

    Raises:
        SettingError: a folder is not there, no picture is left, or the document is that of another split.
        SourceError: a file cannot be read.
        LabelError: the categories are no classes.
    """
    if config.dry_run:
        return _planned(config)
    results = _read(config)
    folder = writable_folder(config.output_dir, "--output-dir")
    report = measured(results, config)
    files = write_tables(results, report, folder)
    pages, absent = write_sheets(
        results, sheets_of(results, config), folder, lambda row: picture_path(results, row, config), answers_of
    )
    notes = list(results.notes)
    if absent:
        notes.append(f"{absent} pictures of the sheets cannot be opened; --crops-dir says where they are")
    page = write_report(report, folder, [Sheet(sheet.title, sheet.file) for sheet in pages])
    return ResultsReport(report, tuple(notes), (page[1], page[0], *files), len(pages))


def _read(config: EvaluateResultsConfig) -> Results:
    """Returns the answers that are asked for, once everything is known to be in order; raises as `evaluate_results`."""
    if config.crops_dir is not None:
        require_folder(config.crops_dir, "--crops-dir")
    results = chosen(read_results(config.results, CctDocument.read(config.cct), config.cct), config)
    for name in config.classes:
        if name not in results.names:
            raise SettingError(f"--classes {name}: no such class{suggestion(name, results.names)}")
    check_writable(config.output_dir, "--output-dir")
    return results


def _planned(config: EvaluateResultsConfig) -> DryRun:
    """Returns what `evaluate_results` would do."""
    plan = DryRun("evaluate results")
    with plan.noting():
        results = _read(config)
        known = int((results.truth >= 0).sum())
        classes, pictures = counted(len(results.names), "class", "es"), counted(len(results), "picture")
        plan.lines.append(f"{results.label}: {classes}; {pictures}, {known} with a true class")
        plan.lines += results.notes
        sheets = len(sheets_of(results, config))
        plan.lines.append(f"sheets: would draw {sheets} to {config.output_dir / FOLDER}; those there would be removed")
    for path in (*report_paths(config.output_dir), *table_paths(config.output_dir)):
        plan.would_write("report", path)
    return plan


def table_paths(folder: Path) -> tuple[Path, Path, Path, Path]:
    """Returns where `write_tables` writes: a row per picture, per class, the confusion matrix, per location and class."""
    rows, classes, matrix, places = (folder / f"{name}.csv" for name in ("results", "classes", "confusion", "locations"))
    return rows, classes, matrix, places


def chosen(results: Results, config: EvaluateResultsConfig) -> Results:
    """Returns the pictures of the locations and paths that are asked for.

    Raises:
        SettingError: there are none.
    """
    rows = range(len(results))
    if config.locations:
        known = {results.fact(row, "location") for row in rows}
        for name in config.locations:
            if name not in known:
                raise SettingError(
                    f"--locations {name}: no picture of the results is from there{suggestion(name, sorted(known))}"
                )
    wanted = [
        row
        for row in rows
        if (not config.locations or results.fact(row, "location") in config.locations)
        and (config.path_contains is None or config.path_contains in results.paths[row])
    ]
    if not wanted:
        raise SettingError(f"--path-contains {config.path_contains}: is in no path of these pictures; nothing to evaluate")
    return results if len(wanted) == len(results) else results.taken(wanted)


def measured(results: Results, config: EvaluateResultsConfig) -> dict[str, Any]:
    """Returns the report as plain values, in the form of an evaluation of a bundle."""
    tally = HeadTally(results.label, results.names)
    places: dict[str, int] = {}
    for row in range(len(results)):
        place = results.fact(row, "location")
        number = places.setdefault(place, len(places)) if place else -1
        # The answer is what the file says, also where two scores are equal.
        scores = results.scores[row].copy()
        scores[results.predicted[row]] = max(scores.max(), scores[results.predicted[row]]) + 1e-12
        tally.add(int(results.truth[row]), scores, scores[None], number)
    split = config.results.stem.removesuffix("_results")
    return {
        "schema_version": 1,
        "kind": "results",
        "camtrap_tf": __version__,
        "aggregation_mode": "mean",
        "model": {"name": config.results.name, "digest": sha256_file(config.results), "stacked": True},
        "data": {
            "patterns": [split],
            "digest": sha256_file(config.cct),
            "records": len(results),
            "pictures": len(results),
            "records_unreadable": 0,
            "pictures_unreadable": 0,
            "locations": len(places),
        },
        "heads": {results.label: tally.report(list(places))},
    }


def write_tables(results: Results, report: Mapping[str, Any], folder: Path) -> list[Path]:
    """Writes a row per picture, per class and per location and class, and the confusion matrix; returns their paths."""
    head = report["heads"][results.label]
    rows, classes, matrix, places = table_paths(folder)
    write_csv(rows, ROW_COLUMNS, (_cells(results, row) for row in range(len(results))))
    columns = ("class", "support", "predicted", "precision", "recall", "f1")
    write_csv(classes, columns, ([_plain(entry[column]) for column in columns] for entry in head["per_class"]))
    write_csv(
        matrix,
        ("true", *results.names),
        ((name, *counts) for name, counts in zip(results.names, head["confusion"], strict=True)),
    )
    write_csv(places, ("location", "class", "pictures", "right"), _by_location(results))
    return [rows, classes, matrix, places]


def _cells(results: Results, row: int) -> tuple[object, ...]:
    first = int(results.predicted[row])
    second, truth = second_best(results, row), int(results.truth[row])
    return (
        results.paths[row],
        results.names[truth] if truth >= 0 else "",
        results.names[first],
        f"{results.scores[row, first]:.6f}",
        "" if second is None else results.names[second],
        "" if second is None else f"{results.scores[row, second]:.6f}",
        int(truth == first) if truth >= 0 else "",
        *(results.fact(row, key) for key in ("location", "datetime", "orig_file_name", "orig_id")),
    )


def second_best(results: Results, row: int) -> int | None:
    """Returns the class with the highest score beside the answer; None where there is one class."""
    scores = results.scores[row].copy()
    scores[results.predicted[row]] = -np.inf
    return int(scores.argmax()) if len(scores) > 1 else None


def _by_location(results: Results) -> list[tuple[str, str, int, int]]:
    counts: dict[tuple[str, str], list[int]] = {}
    for row, truth in enumerate(results.truth.tolist()):
        if truth >= 0:
            entry = counts.setdefault((results.fact(row, "location"), results.names[truth]), [0, 0])
            entry[0] += 1
            entry[1] += int(truth == results.predicted[row])
    return [(*key, number, right) for key, (number, right) in sorted(counts.items())]


def _plain(value: float | int | str | None) -> str | int:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else value


def sheets_of(results: Results, config: EvaluateResultsConfig) -> list[PictureSheet]:
    """Returns which pictures go on which sheet: the most frequent mistakes, then per class the surest and least sure."""
    if not config.top:
        return []
    answer, truth = results.predicted, results.truth
    own = results.scores[np.arange(len(results)), answer]
    sheets = [_sheet(results, f"{a} taken for {b}", own, rows, config) for a, b, rows in _mistakes(results, config)]
    for index, name in enumerate(results.names):
        if config.classes and name not in config.classes:
            continue
        right, false = (answer == index) & (truth == index), (answer == index) & (truth >= 0) & (truth != index)
        sheets += [
            _sheet(results, f"{name}: right, and surest", own, right, config),
            _sheet(results, f"{name}: right, and least sure", -own, right, config),
            _sheet(results, f"{name}: answered, but something else, surest first", own, false, config),
        ]
        if config.samples:
            sheets.append(_sampled(results, name, np.flatnonzero(truth == index), config))
    return [sheet for sheet in sheets if sheet.rows]


def _sheet(results: Results, title: str, order: np.ndarray, wanted: np.ndarray, config: EvaluateResultsConfig) -> PictureSheet:
    """Returns a sheet of the wanted rows, those of the greatest number first."""
    rows = np.flatnonzero(wanted)
    first = rows[np.argsort(-order[rows], kind="stable")][: config.top]
    return PictureSheet(f"{title} ({len(first)} of {len(rows)})", tuple(first.tolist()), title)


def _mistakes(results: Results, config: EvaluateResultsConfig) -> list[tuple[str, str, np.ndarray]]:
    """Returns true class, answer and rows of the most frequent mistakes."""
    pairs: dict[tuple[int, int], int] = {}
    for truth, answer in zip(results.truth.tolist(), results.predicted.tolist(), strict=True):
        if truth >= 0 and truth != answer:
            pairs[truth, answer] = pairs.get((truth, answer), 0) + 1
    ranked = sorted(pairs, key=lambda pair: (-pairs[pair], pair))
    names = results.names
    wanted = [pair for pair in ranked if not config.classes or {names[pair[0]], names[pair[1]]} & set(config.classes)]
    return [
        (names[truth], names[answer], (results.truth == truth) & (results.predicted == answer))
        for truth, answer in wanted[: config.confusions]
    ]


def _sampled(results: Results, name: str, rows: np.ndarray, config: EvaluateResultsConfig) -> PictureSheet:
    def drawn(row: int) -> bytes:
        """Returns what a picture is drawn by: a hash, so that other pictures change nothing."""
        return hashlib.sha256(f"{config.seed}:{results.paths[row]}".encode()).digest()

    some = sorted(rows.tolist(), key=drawn)[: config.samples]
    title = f"{name}: a sample"
    return PictureSheet(f"{title} ({len(some)} of {len(rows)})", tuple(some), title)


def picture_path(results: Results, row: int, config: EvaluateResultsConfig) -> Path:
    """Returns where a picture is: in `--crops-dir` by its name in the document, else as the results have it."""
    if config.crops_dir is None:
        return Path(results.paths[row])
    try:
        return join_inside(config.crops_dir, results.fact(row, "file_name") or results.paths[row])
    except ValueError:
        return Path()


def answers_of(results: Results, row: int) -> Sequence[str]:
    """Returns the lines below a picture: the answer and the one after it, with their probabilities, and the true class."""
    second = second_best(results, row)
    lines = [
        f"{results.names[one]} {results.scores[row, one]:.1%}"
        for one in (int(results.predicted[row]), second)
        if one is not None
    ]
    truth = int(results.truth[row])
    return [*lines, f"true: {results.names[truth]}" if truth >= 0 else "true class not known"]
