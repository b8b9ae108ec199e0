"""The files that predictions of a split are written to: results JSON, a row per picture, metrics of all splits.

`<split>_results.json` has the arrays of Animl's `predict.py`, class names and ids beside them; the tables and the `.npz`
are those of the evaluation of MegaDetector's classification tools. Logits may lie on disk; they are gone through in pieces.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from camtrap_tf.files import atomic_file, json_line, write_csv
from camtrap_tf.prediction.aggregation import link
from camtrap_tf.prediction.earlier_measures import (
    MATRICES,
    METRICS,
    OVERALL,
    OVERALL_COLUMNS,
    STATS,
    STATS_COLUMNS,
    Measures,
    Rows,
    read_measures,
)
from camtrap_tf.prediction.writers import text_file

TOP_K = (1, 3)
DECIMALS = 6
PIECE = 2**18
"""Logits that are looked at at once: some 20 MiB while they are written as JSON."""
SMALLEST = -1e9
"""What stands for the logit of a target without any class of the model, which JSON cannot say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitAnswers:
    """What a model says about the pictures of a split.

    Attributes:
        split: its name.
        names: classes by index.
        ids: `N` record ids.
        paths: `N` paths as the files have them.
        files: `N` paths as they were opened.
        stated: `N` classes as the files have them, empty where missing.
        targets: `[N]` true class indices, -1 where missing or unknown to the model.
        logits: `[N, C]`, float32 or float64; may lie on disk.
    """

    split: str
    names: tuple[str, ...]
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    files: tuple[str, ...]
    stated: tuple[str, ...]
    targets: np.ndarray
    logits: np.ndarray

    def pieces(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yields some rows after the others: which, and their logits `[n, C]` as float64."""
        count = max(1, PIECE // max(len(self.names), 1))
        for start in range(0, len(self.ids), count):
            rows = slice(start, start + count)
            yield rows, np.asarray(self.logits[rows], np.float64)

    def scores(self) -> Iterator[np.ndarray]:
        """Yields probabilities float32 `[n, C]`, row after row in pieces."""
        for _, logits in self.pieces():
            yield link(logits, sigmoid=False)

    @property
    def predicted(self) -> np.ndarray:
        """`[N]` class indices; of equal ones the lower."""
        return self.logits.argmax(axis=1) if len(self.ids) else np.zeros(0, np.int64)


def label_weights(targets: np.ndarray) -> np.ndarray:
    """Returns `[N]` weights that make every class that occurs count alike; they sum to the number of labelled records.

    Args:
        targets: `[N]` class indices; negative ones weigh nothing.
    """
    known = targets >= 0
    counts = np.bincount(targets[known]) if known.any() else np.zeros(1, np.int64)
    share = known.sum() / max(int((counts > 0).sum()), 1)
    weights = np.zeros(len(targets))
    weights[known] = share / counts[targets[known]]
    return weights


def measures(answers: SplitAnswers) -> dict[str, float | None]:
    """Returns loss and accuracies (in percent), each also with all classes weighing alike; None without labelled records."""
    known = answers.targets >= 0
    if not known.any():
        return dict.fromkeys(METRICS)
    weights = label_weights(answers.targets[known])
    losses, ranks = (values[known] for values in _losses_and_ranks(answers))
    found: dict[str, float | None] = {
        "loss": float(losses.mean()), "loss_weighted": float(np.average(losses, weights=weights))
    }  # fmt: skip
    for k in TOP_K:
        found[f"acc_top{k}"] = 100 * float((ranks < k).mean())
    for k in TOP_K:
        found[f"acc_weighted_top{k}"] = 100 * float(np.average(ranks < k, weights=weights))
    return found


def _losses_and_ranks(answers: SplitAnswers) -> tuple[np.ndarray, np.ndarray]:
    """Returns of each record its cross-entropy and the place of its true class among the answers; of unlabelled ones 0."""
    losses, ranks = np.zeros(len(answers.ids)), np.zeros(len(answers.ids), np.int64)
    for rows, whole in answers.pieces():
        known = answers.targets[rows] >= 0
        targets, logits = answers.targets[rows][known], whole[known]
        highest = logits.max(axis=1, keepdims=True)
        log_sums = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
        true = logits[np.arange(len(targets)), targets]
        losses[rows][known] = log_sums - np.maximum(true, SMALLEST)
        earlier = np.arange(logits.shape[1])[None, :] < targets[:, None]
        ranks[rows][known] = ((logits > true[:, None]) | ((logits == true[:, None]) & earlier)).sum(axis=1)
    return losses, ranks


def confusion(answers: SplitAnswers) -> np.ndarray:
    """Returns `[C, C]` int64, rows are true classes."""
    known, size = answers.targets >= 0, len(answers.names)
    pairs = answers.targets[known] * size + answers.predicted[known]
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def answer_paths(folder: Path, split: str) -> tuple[Path, Path]:
    """Returns where `write_answers` writes: results and the table of probabilities."""
    return folder / f"{split}_results.json", folder / f"outputs_{split}.csv.gz"


def write_answers(answers: SplitAnswers, folder: Path, about: Mapping[str, Any]) -> list[Path]:
    """Writes `<split>_results.json` and `outputs_<split>.csv.gz`; returns their paths.

    Args:
        answers: what to write.
        folder: where.
        about: further keys of the JSON.
    """
    results, outputs = answer_paths(folder, answers.split)
    _write_results(results, answers, about)
    weights = label_weights(answers.targets)
    with text_file(outputs) as text:
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("path", "label", "weight", *answers.names))
        probabilities = (row for piece in answers.scores() for row in piece.tolist())
        for path, stated, weight, row in zip(answers.paths, answers.stated, weights, probabilities, strict=True):
            table.writerow((path, stated, f"{weight:.6g}", *(f"{value:.6f}" for value in row)))
    return [results, outputs]


def _write_results(path: Path, answers: SplitAnswers, about: Mapping[str, Any]) -> None:
    """Writes `<split>_results.json` on one line, its rows of numbers piece by piece."""
    ends = {
        "filepaths": list(answers.files),
        "categories": list(answers.names),
        "ids": list(answers.ids),
        "split": answers.split,
        **about,
    }
    with text_file(path) as file:
        starts = {"pred_labels": answers.predicted.tolist(), "true_labels": answers.targets.tolist()}
        file.write(json_line(starts)[:-1] + ', "logits": [')
        _write_rows(file, (np.maximum(logits, SMALLEST) for _, logits in answers.pieces()))
        file.write('], "scores": [')
        _write_rows(file, (scores.astype(np.float64) for scores in answers.scores()))
        file.write("], " + json_line(ends)[1:] + "\n")


def _write_rows(file: IO[str], pieces: Iterable[np.ndarray]) -> None:
    """Writes the rows of pieces `[n, C]` as what stands between the brackets of a list."""
    between = ""
    for piece in pieces:
        file.write(between + json_line(np.round(piece, DECIMALS).tolist())[1:-1])
        between = ", "


def write_measures(every: Sequence[SplitAnswers], folder: Path) -> list[Path]:
    """Writes `overall_metrics.csv`, `label_stats.csv` and `confusion_matrices.npz` of some splits; returns their paths.

    Parts of other splits that are there already stay; those of the same split are replaced.

    Raises:
        SourceError: files of these names are of another form.
    """
    whole = read_measures(folder).updated(measures_of(every))
    metrics, stats, matrices = (folder / name for name in (OVERALL, STATS, MATRICES))
    write_csv(metrics, OVERALL_COLUMNS, whole.overall.values())
    write_csv(stats, STATS_COLUMNS, (row for rows in whole.stats.values() for row in rows))
    with atomic_file(matrices) as file:
        np.savez(file, **whole.matrices)  # type: ignore[arg-type]  # split names are keys; numpy's stub takes them for its flag
    return [metrics, stats, matrices]


def measures_of(every: Sequence[SplitAnswers]) -> Measures:
    """Returns the measures of splits as their tables have them; a cell is empty where nothing can be measured."""
    found = {one.split: measures(one) for one in every}
    overall = {
        split: (split, *("" if (value := values[key]) is None else f"{value:.6f}" for key in METRICS))
        for split, values in found.items()
    }
    matrices = {one.split: confusion(one) for one in every}
    return Measures(overall, {one.split: _stats(one, matrices[one.split]) for one in every}, matrices)


def _stats(answers: SplitAnswers, matrix: np.ndarray) -> list[Rows]:
    """Returns split, label, precision and recall per class; empty where there is nothing to be a share of."""
    right, given, true = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    rows: list[Rows] = []
    for index, name in enumerate(answers.names):
        shares = (f"{right[index] / whole:.6f}" if whole else "" for whole in (given[index], true[index]))
        rows.append((answers.split, name, *shares))
    return rows


def metrics_lines(every: Sequence[SplitAnswers]) -> list[str]:
    """Returns a line per split about how right it is."""
    lines = []
    for one in every:
        values = measures(one)
        if values["acc_top1"] is None:
            lines.append(f"{one.split}: nothing labelled")
        else:
            lines.append(
                f"{one.split}: accuracy {values['acc_top1']:.1f} %, "
                f"all classes weighing alike {values['acc_weighted_top1']:.1f} %, "
                f"among the first three {values['acc_top3']:.1f} %, loss {values['loss']:.4f}"
            )
    return lines
