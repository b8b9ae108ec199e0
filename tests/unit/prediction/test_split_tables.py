"""Results files and metrics of splits."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from camtrap_tf.errors import LabelError, SourceError
from camtrap_tf.prediction import split_tables
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
        targets=np.array(targets, np.int64), logits=np.array(logits, np.float64).reshape(count, len(NAMES)),
    )  # fmt: skip


def bare_array() -> bytes:
    """Returns the bytes of an array that is in no archive."""
    file = io.BytesIO()
    np.save(file, np.eye(3))
    return file.getvalue()


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


def test_pieces_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and measures are the same however many rows are looked at at once."""
    whole = [path.read_bytes() for path in write_answers(SOME, tmp_path / "whole", {})]
    measured = measures(SOME)
    monkeypatch.setattr(split_tables, "PIECE", 2 * len(NAMES))
    assert [rows for rows, _ in SOME.pieces()] == [slice(0, 2), slice(2, 4), slice(4, 6)]
    assert [path.read_bytes() for path in write_answers(SOME, tmp_path / "pieces", {})] == whole
    assert measures(SOME) == pytest.approx(measured)


def test_nothing_predicted_gives_empty_lists(tmp_path: Path) -> None:
    """A split of which nothing could be predicted has a results file all the same."""
    value = json.loads(write_answers(answers([], []), tmp_path, {})[0].read_text(encoding="utf-8"))
    assert (value["logits"], value["scores"], value["categories"]) == ([], [], list(NAMES))


def test_other_splits_keep_their_part(tmp_path: Path) -> None:
    """A later call adds its split to metrics, statistics and matrices; the same split again replaces its own part."""
    write_measures([answers([0], [[9, 0, 0]]), answers([1], [[0, 9, 0]], "test")], tmp_path)
    write_measures([SOME], tmp_path)
    write_measures([answers([2], [[0, 0, 9]], "train")], tmp_path)
    metrics = rows_of(tmp_path / "overall_metrics.csv")
    assert [(row["split"], float(row["acc_top1"])) for row in metrics] == [("val", 25), ("test", 100), ("train", 100)]
    stats = [(row["split"], row["label"], row["recall"]) for row in rows_of(tmp_path / "label_stats.csv")]
    assert [split for split, *_ in stats] == ["val"] * 3 + ["test"] * 3 + ["train"] * 3
    assert stats[:3] == [("val", "fox", "0.500000"), ("val", "bird", "0.000000"), ("val", "rat", "0.000000")]
    with np.load(tmp_path / "confusion_matrices.npz") as matrices:
        assert list(matrices) == ["val", "test", "train"]
        assert matrices["val"].tolist() == confusion(SOME).tolist()
        assert matrices["test"].sum() == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("overall_metrics.csv", b"split,accuracy\nval,1\n"),
        ("label_stats.csv", b"split,label,precision,recall\n\xff"),
        ("confusion_matrices.npz", b"PK no zip"),
        ("confusion_matrices.npz", bare_array()),
    ],
)
def test_foreign_tables_are_not_written_over(tmp_path: Path, name: str, content: bytes) -> None:
    """A file of such a name that is of another form is named, with what to do, and stays as it is."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=f"{name}: is there already.*give another --output-dir"):
        write_measures([SOME], tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(name, content)]


def test_targets_sum_probabilities() -> None:
    """The probability of a target is the sum of its labels'; labels in none are `other`; true targets stay themselves."""
    targets = Targets(("mammal",), {"mammal": ("fox", "rat")})
    found = targets.applied(SOME)
    assert found.names == ("mammal", "other")
    (summed,), (single,) = found.scores(), SOME.scores()
    np.testing.assert_allclose(summed[:, 0], single[:, 0] + single[:, 2], atol=1e-6)
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
