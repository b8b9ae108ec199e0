"""Curves as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camtrap_tf.config.watching import PlotConfig
from camtrap_tf.errors import LabelError, SettingError
from camtrap_tf.training.curves import Curve, of_table
from camtrap_tf.training.plotting import figure, plot, usual_top
from tests.unit.training.test_curves import OURS, TAXONOMIST


def test_png_and_words(tmp_path: Path) -> None:
    """A run folder gets its curves, and the best epochs are said."""
    (tmp_path / "metrics.csv").write_text(OURS)
    result = plot(PlotConfig(run=tmp_path))
    assert result.file == tmp_path / "curves.png"
    with Image.open(result.file) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] == 9 * 120
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
    assert "validation loss: best 2.2500 at epoch 1" in result.text()
    assert "validation species top k accuracy: best 100.0% at epoch 1" in result.text()


def test_svg_repeats(tmp_path: Path) -> None:
    """SVG says what it shows, and holds no time."""
    (tmp_path / "train.txt").write_text(TAXONOMIST)
    file = plot(PlotConfig(run=tmp_path / "train.txt", output=tmp_path / "new" / "curves.svg", max_loss=5)).file
    text = file.read_text()
    assert text.lstrip().startswith("<?xml")
    assert "dc:date" not in text


def test_what_is_drawn() -> None:
    """Each curve of losses and shares is a line with its own values; the rate has an axis of its own."""
    drawing = figure(of_table(OURS), max_loss=3.0)
    losses, shares, rates = drawing.axes
    lines = {line.get_label(): list(line.get_ydata()) for line in [*losses.lines, *shares.lines]}
    assert lines["training species accuracy"] == [0.25, 0.5]
    assert lines["training loss"] == [2.5, 1.5]
    assert losses.get_ylim() == (0.0, 3.0)
    assert rates.get_yscale() == "log"


def test_one_wild_epoch_does_not_press_the_others_flat() -> None:
    """The axis ends near the usual losses; without such an epoch it reaches the highest one."""
    wild = Curve("validation", "", "loss", {1: 400.0} | {epoch: 5.0 / epoch for epoch in range(2, 40)})
    assert 2.0 < usual_top([wild]) < 10.0
    assert usual_top([Curve("training", "", "loss", {1: 2.0, 2: 1.9})]) == pytest.approx(2.1)
    assert usual_top([]) == 1.0


def test_mistakes(tmp_path: Path) -> None:
    """Other kinds of files and unknown label types are refused."""
    (tmp_path / "metrics.csv").write_text(OURS)
    with pytest.raises(SettingError, match=r"\.png or \.svg"):
        plot(PlotConfig(run=tmp_path, output=tmp_path / "curves.gif"))
    with pytest.raises(LabelError, match="did you mean 'species'"):
        plot(PlotConfig(run=tmp_path, labels=("specis",)))
