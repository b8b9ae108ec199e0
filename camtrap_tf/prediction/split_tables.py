"""The files that predictions of a split are written to: results JSON, a row per picture, metrics of all splits.

`<split>_results.json` has the arrays of Animl's `predict.py`, class names and ids beside them; the tables and the `.npz`
are those of the evaluation of MegaDetector's classification tools.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from camtrap_tf.files import atomic_file, write_csv, write_json
from camtrap_tf.prediction.aggregation import link

TOP_K = (1, 3)
METRICS = ("loss", "loss_weighted", "acc_top1", "acc_top3", "acc_weighted_top1", "acc_weighted_top3")
DECIMALS = 6
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
        logits: `[N, C]`.
    """

    split: str
    names: tuple[str, ...]
    ids: tuple[str, ...]
    paths: tuple[str, ...]
    files: tuple[str, ...]
    stated: tuple[str, ...]
    targets: np.ndarray
    logits: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """Probabilities `[N, C]`."""
        return link(self.logits, sigmoid=False) if len(self.ids) else np.zeros_like(self.logits)

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
    targets, logits = answers.targets[known], answers.logits[known]
    weights = label_weights(targets)
    highest = logits.max(axis=1, keepdims=True)
    log_sums = highest[:, 0] + np.log(np.exp(logits - highest).sum(axis=1))
    true = logits[np.arange(len(targets)), targets]
    losses = log_sums - np.maximum(true, SMALLEST)
    earlier = np.arange(logits.shape[1])[None, :] < targets[:, None]
    ranks = ((logits > true[:, None]) | ((logits == true[:, None]) & earlier)).sum(axis=1)
    found: dict[str, float | None] = {
        "loss": float(losses.mean()), "loss_weighted": float(np.average(losses, weights=weights))
    }  # fmt: skip
    for k in TOP_K:
        found[f"acc_top{k}"] = 100 * float((ranks < k).mean())
    for k in TOP_K:
        found[f"acc_weighted_top{k}"] = 100 * float(np.average(ranks < k, weights=weights))
    return found


def confusion(answers: SplitAnswers) -> np.ndarray:
    """Returns `[C, C]` int64, rows are true classes."""
    known, size = answers.targets >= 0, len(answers.names)
    pairs = answers.targets[known] * size + answers.predicted[known]
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def write_answers(answers: SplitAnswers, folder: Path, about: Mapping[str, Any]) -> list[Path]:
    """Writes `<split>_results.json` and `outputs_<split>.csv.gz`; returns their paths.

    Args:
        answers: what to write.
        folder: where.
        about: further keys of the JSON.
    """
    results, outputs = folder / f"{answers.split}_results.json", folder / f"outputs_{answers.split}.csv.gz"
    write_json(
        results,
        {
            "pred_labels": answers.predicted.tolist(),
            "true_labels": answers.targets.tolist(),
            "logits": np.round(np.maximum(answers.logits, SMALLEST), DECIMALS).tolist(),
            "scores": np.round(answers.scores.astype(np.float64), DECIMALS).tolist(),
            "filepaths": list(answers.files),
            "categories": list(answers.names),
            "ids": list(answers.ids),
            "split": answers.split,
            **about,
        },
        indent=None,
    )
    weights = label_weights(answers.targets)
    with (
        atomic_file(outputs) as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", errors="backslashreplace", newline="") as text,
    ):
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("path", "label", "weight", *answers.names))
        for path, stated, weight, row in zip(answers.paths, answers.stated, weights, answers.scores, strict=True):
            table.writerow((path, stated, f"{weight:.6g}", *(f"{value:.6f}" for value in row)))
    return [results, outputs]


def write_measures(every: Sequence[SplitAnswers], folder: Path) -> list[Path]:
    """Writes `overall_metrics.csv`, `label_stats.csv` and `confusion_matrices.npz` of some splits; returns their paths."""
    metrics, stats, matrices = (folder / name for name in ("overall_metrics.csv", "label_stats.csv", "confusion_matrices.npz"))
    found = {one.split: measures(one) for one in every}
    rows = (
        (split, *("" if values[key] is None else f"{values[key]:.6f}" for key in METRICS)) for split, values in found.items()
    )
    write_csv(metrics, ("split", *METRICS), rows)
    counted = {one.split: confusion(one) for one in every}
    write_csv(
        stats, ("split", "label", "precision", "recall"), (row for one in every for row in _stats(one, counted[one.split]))
    )
    with atomic_file(matrices) as file:
        np.savez(file, **counted)  # type: ignore[arg-type]  # split names are keys; numpy's stub takes them for its flag
    return [metrics, stats, matrices]


def _stats(answers: SplitAnswers, matrix: np.ndarray) -> list[tuple[str, ...]]:
    """Returns split, label, precision and recall per class; empty where there is nothing to be a share of."""
    right, given, true = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    rows: list[tuple[str, ...]] = []
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
