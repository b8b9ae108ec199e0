"""Curves read from logs of three kinds."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.training.curves import Curve, of_labels, of_lines, of_table, read_curves

OURS = """epoch,step,loss,label/species_accuracy,val_loss,val_label/species_top_k_accuracy,val_label/is_there_accuracy,lr
1,12,2.5,0.25,2.25,1.0,,0.01
2,24,1.5,0.5,nan,0.75,0.5,0.001
"""
CLASSIFIER = """epoch,label/species_acc,label/species_loss,loss,lr,val_label/species_acc,val_loss
0,0.1,3.0,3.2,0.01,0.2,3.1
1,0.3,2.0,2.2,0.01,0.4,2.1
epoch,label/species_acc,label/species_loss,loss,lr,val_label/species_acc,val_loss
1,0.5,1.0,1.2,0.001,0.6,1.1
"""
TAXONOMIST = """=> creating model 'resnet18'
LearningRate: 0 0.1
Epoch: [0][  0/100]\tTime 1.2 ( 1.2)\tData 0.9 ( 0.9)\tLoss 6.9e+00 (6.9e+00)\tAcc@1   0.00 (  0.00)\tAcc@5   1.00 (  1.00)
Epoch: [0][100/100]\tTime 0.2 ( 0.2)\tData 0.1 ( 0.1)\tLoss 4.0e+00 (5.0e+00)\tAcc@1  20.00 ( 12.50)\tAcc@5  30.00 ( 25.00)
Test: [ 0/10]\tTime  1.000 ( 1.000)\tLoss 4.0e+00 (4.0e+00)\tAcc@1  20.00 ( 20.00)\tAcc@5  30.00 ( 30.00)
 * Acc@1 30.000 Acc@5 55.500 ValLoss 4.25
LearningRate: 1 0.01
Epoch: [1][100/100]\tTime 0.2 ( 0.2)\tData 0.1 ( 0.1)\tLoss 2.0e+00 (2.5e+00)\tAcc@1  40.00 ( 42.50)\tAcc@5  70.00 ( 75.00)
 * Acc@1 28.000 Acc@5 60.000 ValLoss 3.50
"""


def by_name(curves: list[Curve]) -> dict[tuple[str, str, str], dict[int, float]]:
    """Returns curves by part, label type and score."""
    return {(curve.part, curve.label, curve.score): dict(curve.values) for curve in curves}


def test_our_table() -> None:
    """Columns become part, label type and score; label types with underscores stay whole; empty cells are gaps."""
    curves = by_name(of_table(OURS))
    assert curves["training", "species", "accuracy"] == {1: 0.25, 2: 0.5}
    assert curves["validation", "species", "top_k_accuracy"] == {1: 1.0, 2: 0.75}
    assert curves["validation", "is_there", "accuracy"] == {2: 0.5}
    assert curves["", "", "lr"] == {1: 0.01, 2: 0.001}
    assert "step" not in {score for _, _, score in curves}


def test_camera_trap_classifiers_log() -> None:
    """Epochs that count from 0 are moved up by one; a header in between is skipped, of two rows the later one counts."""
    curves = by_name(of_table(CLASSIFIER))
    assert curves["validation", "species", "accuracy"] == {1: 0.2, 2: 0.6}
    assert curves["training", "", "loss"] == {1: 3.2, 2: 1.2}


def test_ai_taxonomists_log() -> None:
    """The last average of each epoch, the summaries and the rates are found; percents become shares."""
    curves = by_name(of_lines(TAXONOMIST))
    assert curves["training", "", "loss"] == {1: 5.0, 2: 2.5}
    assert curves["training", "", "accuracy"] == pytest.approx({1: 0.125, 2: 0.425})
    assert curves["validation", "", "top_5_accuracy"] == pytest.approx({1: 0.555, 2: 0.6})
    assert curves["validation", "", "loss"] == {1: 4.25, 2: 3.5}
    assert curves["", "", "lr"] == {1: 0.1, 2: 0.01}


def test_best_epochs() -> None:
    """The least loss and the greatest share are best; what is no number never is."""
    curves = {(curve.part, curve.score): curve for curve in of_lines(TAXONOMIST)}
    assert curves["validation", "loss"].best() == (2, 3.5)
    assert curves["validation", "accuracy"].best() == (1, pytest.approx(0.3))
    assert Curve("validation", "", "loss", {1: float("nan")}).best() is None


def test_run_folder_and_choice(tmp_path: Path) -> None:
    """metrics.csv comes before training.log; curves of other label types can be left out."""
    (tmp_path / "training.log").write_text(CLASSIFIER)
    assert len(read_curves(tmp_path)) == 6
    (tmp_path / "metrics.csv").write_text(OURS)
    curves = read_curves(tmp_path)
    assert {curve.label for curve in curves} == {"", "species", "is_there"}
    assert {curve.label for curve in of_labels(curves, ["is_there"])} == {"", "is_there"}


@pytest.mark.parametrize("text", ["", "hello", "a,b\n1,2\n", "epoch,loss\n"])
def test_files_without_scores(tmp_path: Path, text: str) -> None:
    """A file that holds no scores is refused by name."""
    (tmp_path / "notes.txt").write_text(text)
    with pytest.raises(SourceError, match=r"notes\.txt"):
        read_curves(tmp_path / "notes.txt")


def test_nothing_there(tmp_path: Path) -> None:
    """An empty folder and an absent file are said so."""
    for path in (tmp_path, tmp_path / "absent.log"):
        with pytest.raises(SourceError, match="give a run folder"):
            read_curves(path)
