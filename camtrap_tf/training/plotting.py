"""`camtrap train plot`: the curves of a training as PNG or SVG, without a display; and its best epochs in words."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camtrap_tf.config.watching import PlotConfig
from camtrap_tf.errors import LabelError, SettingError, suggestion
from camtrap_tf.files import check_output_file, check_writable, write_bytes
from camtrap_tf.training.curves import Curve, of_labels, read_curves

DEFAULT_NAME = "curves.png"
SUFFIXES = (".png", ".svg")
_COLOURS = ("#0b6e4f", "#c8553d", "#3d5a80", "#b08900", "#7b4b94", "#4a4e69", "#2a9d8f", "#a23b72")
_SHARES = ("accuracy", "top_5_accuracy", "macro_f1")
"""Scores that are drawn beside the losses; others are in the table."""


@dataclass(frozen=True, slots=True)
class Plotted:
    """What was drawn.

    Attributes:
        file: the picture.
        curves: that were read.
    """

    file: Path
    curves: Sequence[Curve]

    def text(self) -> str:
        """Returns the best epochs of validation (of training, where nothing was validated), one score a line."""
        measured = [curve for curve in self.curves if curve.part == "validation"]
        lines = []
        for curve in measured or self.curves:
            best = None if curve.is_rate else curve.best()
            if best is not None:
                shown = f"{best[1]:.4f}" if curve.is_loss or curve.score == "bin_error" else f"{best[1]:.1%}"
                lines.append(f"{_name(curve)}: best {shown} at epoch {best[0]}")
        return "\n".join([*lines, f"curves: {self.file}"])


def plot(config: PlotConfig) -> Plotted:
    """Draws the curves.

    Raises:
        SourceError: nothing to read.
        SettingError: a file name of another kind.
        LabelError: no such label type.
    """
    output = config.output or (config.run if config.run.is_dir() else config.run.parent) / DEFAULT_NAME
    if output.suffix.lower() not in SUFFIXES:
        raise SettingError(f"--output {output}: write {' or '.join(SUFFIXES)}")
    check_output_file(output, "--output", suffixes=SUFFIXES)
    check_writable(output.parent, "--output")
    curves = read_curves(config.run)
    known = sorted({curve.label for curve in curves} - {""})
    for label in config.labels:
        if label not in known:
            raise LabelError(f"--labels {label}: no scores of such a label type{suggestion(label, known)}")
    if config.labels:
        curves = of_labels(curves, config.labels)
    drawn = io.BytesIO()
    figure(curves, max_loss=config.max_loss).savefig(
        drawn, format=output.suffix.lower()[1:], dpi=120, metadata={"Date": None} if output.suffix.lower() == ".svg" else None
    )
    write_bytes(output, drawn.getvalue())
    return Plotted(output, curves)


def figure(curves: Sequence[Curve], *, max_loss: float | None = None) -> Any:
    """Returns the drawing: losses above, shares below, the learning rate in a strip of its own.

    A colour is a label type; full lines are validation, broken and pale ones training, dotted ones the top five.

    Args:
        curves: what to draw.
        max_loss: upper end of the axis of losses.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses = [curve for curve in curves if curve.score == "loss"]
    shares = [curve for curve in curves if curve.score in _SHARES]
    rates = [curve for curve in curves if curve.is_rate]
    panels = [(losses, "loss", 3.0), (shares, "share", 3.0), (rates, "learning rate", 1.2)]
    panels = [panel for panel in panels if panel[0]]
    drawing = Figure(figsize=(9, 1.0 + sum(height for _, _, height in panels)), layout="constrained")
    FigureCanvasAgg(drawing)
    heights = [height for _, _, height in panels]
    axes = drawing.subplots(len(panels), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    colours = _colours(curves)
    for axis, (group, title, _) in zip(axes, panels, strict=True):
        for curve in group:
            _draw(axis, curve, colours[curve.label])
        axis.set_ylabel(title)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        if title != "learning rate":
            axis.legend(handles=_key(group, colours), fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    _limits(axes, panels, max_loss)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.get_major_locator().set_params(integer=True)
    return drawing


def _draw(axis: Any, curve: Curve, colour: str) -> None:
    epochs, values = list(curve.values), list(curve.values.values())
    if curve.is_rate:
        axis.plot(epochs, values, color=_COLOURS[5], linestyle=":", drawstyle="steps-mid", marker="." * (len(epochs) == 1))
        axis.set_yscale("log" if min(values) > 0 else "linear")
        return
    trained = curve.part == "training"
    style = "--" if trained else ":" if curve.score != "accuracy" and not curve.is_loss else "-"
    marker = "o" if len(epochs) == 1 else None
    axis.plot(epochs, values, color=colour, linestyle=style, alpha=0.55 if trained else 1.0, marker=marker, label=_name(curve))
    best = curve.best()
    if best is not None and not trained and len(epochs) > 1:
        axis.plot([best[0]], [best[1]], color=colour, marker="o", markersize=4)


def _key(group: Sequence[Curve], colours: Mapping[str, str]) -> list[Any]:
    """Returns what the lines mean: a colour each label type, then the styles."""
    from matplotlib.lines import Line2D

    labels = list(dict.fromkeys(curve.label for curve in group))
    lines = [Line2D([], [], color=colours[label], label=label or "total") for label in labels]
    styles = [("validation", "-", 1.0), ("training", "--", 0.55)]
    if any(curve.score not in ("loss", "accuracy") for curve in group):
        styles.append(("top five, F1", ":", 1.0))
    parts = {curve.part for curve in group}
    return lines + [
        Line2D([], [], color="#555555", linestyle=style, alpha=alpha, label=name)
        for name, style, alpha in styles
        if name in parts or style == ":"
    ]


def _limits(axes: Any, panels: Sequence[tuple[Sequence[Curve], str, float]], max_loss: float | None) -> None:
    for axis, (group, title, _) in zip(axes, panels, strict=True):
        if title == "loss":
            top = max_loss or usual_top(group)
            above = sum(value > top for curve in group for value in curve.values.values())
            axis.set_ylim(bottom=0, top=top)
            if above:
                axis.set_title(f"{above} values lie above", fontsize=8, loc="right", color="#777777")
        elif title == "share":
            axis.set_ylim(0, 1.02)
            axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def usual_top(curves: Sequence[Curve]) -> float:
    """Returns an upper end that keeps a first epoch gone wild from pressing all others flat."""
    values = sorted(value for curve in curves for value in curve.values.values() if math.isfinite(value) and value >= 0)
    if not values or values[-1] <= 0:
        return 1.0
    return min(1.05 * values[-1], 1.6 * values[int(0.95 * (len(values) - 1))] or math.inf)


def _colours(curves: Sequence[Curve]) -> dict[str, str]:
    labels = sorted({curve.label for curve in curves} - {""})
    chosen = {label: _COLOURS[1 + i % (len(_COLOURS) - 1)] for i, label in enumerate(labels)}
    return {"": _COLOURS[0], **chosen}


def _name(curve: Curve) -> str:
    return " ".join(part for part in (curve.part, curve.label, curve.score.replace("_", " ")) if part)
