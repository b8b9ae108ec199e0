"""Results files and metrics of splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.errors import LabelError, SourceError
from camtrap_tf.prediction.split_tables import SplitAnswers, confusion, label_weights, measures, write_answers, write_measures
from camtrap_tf.prediction.targets import Targets, read_targets
from tests.reading import rows_of

NAMES = ("fox", "bird", "rat")


def answers(targets: list[int], logits: list[list[float]], split: str = "val") -> SplitAnswers:
    """Returns answers to pictures called 0.jpg, 1.jpg …"""
    count = len(targets)
    return SplitAnswers(
        split=split, names=NAMES, ids=tuple(map(str, range(count))), paths=tuple(f"{i}.jpg" for i in range(count)),
        files=tuple(f"/c/{i}.jpg" for i in range(count)), stated=tuple(NAMES[t] if t >= 0 else "" for t in targets),
        targets=np.array(targets), logits=np.array(logits, np.float64),
    )  # fmt: skip


SOME = answers([0, 0, 1, 2, -1], [[2, 1, 0], [0, 1, 3], [1, 1, 0], [0, 5, 1], [9, 0, 0]])


def test_weights_make_classes_alike() -> None:
    """Four of one class and two of another weigh 0.75 and 1.5: together as many as there are, each class alike.

    Source: the weighting of MegaDetector's classifier training, with confidences of 1.
    """
    np.testing.assert_allclose(label_weights(np.array([0, 0, 0, 0, 1, 1])), [0.75] * 4 + [1.5] * 2)
    np.testing.assert_allclose(label_weights(np.array([3, -1, 3, 0])), [0.75, 0, 0.75, 1.5])
    np.testing.assert_allclose(label_weights(np.array([-1, -1])), [0, 0])


def test_measures_by_hand() -> None:
    """Loss and accuracies are those of a loop over labelled pictures; of equal scores the lower class comes first."""
    losses, first, third = [], [], []
    for target, row in zip([0, 0, 1, 2], SOME.logits.tolist(), strict=False):
        losses.append(-np.log(np.exp(row[target]) / sum(np.exp(one) for one in row)))
        ranked = sorted(range(3), key=lambda i, row=row: (-row[i], i))
        first.append(ranked[0] == target)
        third.append(target in ranked[:3])
    weights = np.array([4 / 3 / 2, 4 / 3 / 2, 4 / 3, 4 / 3])
    found = measures(SOME)
    assert first == [True, False, False, False]
    assert found["loss"] == pytest.approx(np.mean(losses))
    assert found["loss_weighted"] == pytest.approx(np.sum(weights * losses) / 4)
    assert (found["acc_top1"], found["acc_top3"]) == (25.0, 100.0)
    assert found["acc_weighted_top1"] == pytest.approx(100 * weights[0] / 4)


def test_nothing_labelled_measures_nothing() -> None:
    """Without a labelled picture every measure is None, and its cell empty."""
    assert set(measures(answers([-1], [[1, 0, 0]])).values()) == {None}


def test_confusion() -> None:
    """Rows are true classes; pictures without a class are left out."""
    assert confusion(SOME).tolist() == [[1, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_results_file(tmp_path: Path) -> None:
    """The JSON has the five parallel arrays and names; probabilities of a row add up to 1."""
    path, table = write_answers(SOME, tmp_path, {"checkpoint": "m"})
    value = json.loads(path.read_text(encoding="utf-8"))
    assert (path.name, table.name) == ("val_results.json", "outputs_val.csv.gz")
    assert value["pred_labels"] == [0, 2, 0, 1, 0]
    assert value["true_labels"] == [0, 0, 1, 2, -1]
    assert (value["filepaths"][1], value["categories"], value["checkpoint"]) == ("/c/1.jpg", list(NAMES), "m")
    np.testing.assert_allclose(np.sum(value["scores"], axis=1), 1, atol=3e-6)
    assert value["logits"] == SOME.logits.tolist()


def test_table_of_outputs(tmp_path: Path) -> None:
    """A row per picture with label, weight and probabilities; equal answers give equal bytes."""
    _, table = write_answers(SOME, tmp_path, {})
    packed = table.read_bytes()
    rows = rows_of(table)
    assert list(rows[0]) == ["path", "label", "weight", *NAMES]
    assert [(row["path"], row["label"]) for row in rows][-2:] == [("3.jpg", "rat"), ("4.jpg", "")]
    assert float(rows[0]["fox"]) == pytest.approx(np.exp(2) / (np.exp(2) + np.exp(1) + 1), abs=1e-6)
    write_answers(SOME, tmp_path, {})
    assert table.read_bytes() == packed


def test_files_of_all_splits(tmp_path: Path) -> None:
    """Metrics, precision and recall, and confusion matrices have a part per split; what is undefined is empty."""
    write_measures([SOME, answers([-1], [[1, 0, 0]], "test")], tmp_path)
    metrics = rows_of(tmp_path / "overall_metrics.csv")
    assert [(row["split"], row["acc_top1"]) for row in metrics] == [("val", "25.000000"), ("test", "")]
    stats = {(row["split"], row["label"]): row for row in rows_of(tmp_path / "label_stats.csv")}
    assert (stats["val", "fox"]["precision"], stats["val", "fox"]["recall"]) == ("0.500000", "0.500000")
    assert stats["test", "rat"]["recall"] == ""
    with np.load(tmp_path / "confusion_matrices.npz") as matrices:
        assert matrices["val"].tolist() == confusion(SOME).tolist()


def test_targets_sum_probabilities() -> None:
    """The probability of a target is the sum of its labels'; labels in none are `other`; true targets stay themselves."""
    targets = Targets(("mammal",), {"mammal": ("fox", "rat")})
    found = targets.applied(SOME)
    assert found.names == ("mammal", "other")
    np.testing.assert_allclose(found.scores[:, 0], SOME.scores[:, 0] + SOME.scores[:, 2], atol=1e-6)
    assert found.targets.tolist() == [0, 0, 1, 0, -1]
    with pytest.raises(LabelError, match="'cat', no class of the model; did you mean 'rat'"):
        Targets(("x",), {"x": ("cat",)}).applied(SOME)


def test_target_files(tmp_path: Path) -> None:
    """A mapping with a label in two targets, of another form, or unlike its index is refused."""
    path, index = tmp_path / "t.json", tmp_path / "i.json"
    path.write_text('{"b": ["rat"], "a": ["fox"]}', encoding="utf-8")
    assert read_targets(path, None).names == ("a", "b")
    index.write_text('{"0": "b", "1": "a", "2": "other"}', encoding="utf-8")
    assert read_targets(path, index).names == ("b", "a", "other")
    index.write_text('{"0": "b"}', encoding="utf-8")
    with pytest.raises(LabelError, match="'a' is in one only"):
        read_targets(path, index)
    path.write_text('{"b": ["rat"], "a": ["rat"]}', encoding="utf-8")
    with pytest.raises(LabelError, match="'rat' is in 'b' and in 'a'"):
        read_targets(path, None)
    path.write_text('{"b": "rat"}', encoding="utf-8")
    with pytest.raises(SourceError, match="not a target mapping"):
        read_targets(path, None)
