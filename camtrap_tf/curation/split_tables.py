"""What each split holds of each class: images, events and locations, as a table in CSV and text and as a picture."""

from __future__ import annotations

import io
import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from camtrap_tf.curation.dealing import Splitting
from camtrap_tf.curation.split_groups import ClassRows, unique_pairs
from camtrap_tf.files import write_bytes, write_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Ints = npt.NDArray[np.int64]

HEADER = ("label", "class", "split", "records", "images", "events", "locations")
UNITS = ("images", "events", "locations")
CLASSES_SHOWN = 40
"""Classes in the text and in the picture; the CSV table has all."""

BARS_IN = 2.3
NUMBER_IN = 0.085
"""Width of the bars of a panel, and of a digit beside them, in inches."""

COLOURS = ("#3b6ea5", "#e8a33d", "#6aa84f", "#a64d79", "#999999", "#45818e")


@dataclass(frozen=True, slots=True)
class SplitTable:
    """Counts of each class in each split.

    Attributes:
        classes: label type and class.
        splits: names of the splits.
        counts: what is counted (`records`, `images`, `events`, `locations`) → `[classes, splits]`.
    """

    classes: tuple[tuple[str, str], ...]
    splits: tuple[str, ...]
    counts: dict[str, Ints]

    def rows(self) -> Iterator[tuple[str | int, ...]]:
        """Yields the rows of the CSV table, in the order of `HEADER`."""
        for number, (label, name) in enumerate(self.classes):
            for place, split in enumerate(self.splits):
                yield (label, name, split, *(int(self.counts[unit][number, place]) for unit in HEADER[3:]))

    def of_labels(self, labels: Sequence[str]) -> SplitTable:
        """Returns the rows of some label types, those with the most records first."""
        size = self.counts["records"].sum(axis=1)
        chosen = [number for number, (label, _) in enumerate(self.classes) if label in labels]
        order = sorted(chosen, key=lambda number: (-int(size[number]), self.classes[number]))
        counts = {unit: counts[order] for unit, counts in self.counts.items()}
        return SplitTable(tuple(self.classes[number] for number in order), self.splits, counts)


def split_table(splitting: Splitting) -> SplitTable:
    """Counts records, images, events and locations of each class in each split.

    A record without an event in its meta data is an event of its own; where the inventory knows no location, the groups of
    a field that the user named are counted in its place, else none.
    """
    rows, inventory = splitting.rows, splitting.inventory
    shape = (len(rows.classes), len(splitting.shares))
    cell = rows.code * shape[1] + splitting.split_codes[rows.record]
    pictures = np.asarray(pc.list_value_length(inventory.table["images"]), np.int64)[rows.record]
    place = splitting.location or (splitting.group_field if splitting.group_field != splitting.event else None)
    locations = codes_of(inventory.meta(place)) if place else np.full(len(splitting.splits), -1, np.int64)
    counts = {
        "records": np.bincount(cell, minlength=shape[0] * shape[1]),
        "images": np.bincount(cell, weights=pictures, minlength=shape[0] * shape[1]).astype(np.int64),
        "events": _distinct(cell, event_codes(splitting)[rows.record], shape),
        "locations": _distinct(cell, locations[rows.record], shape),
    }
    return SplitTable(rows.classes, tuple(splitting.shares), {unit: one.reshape(shape) for unit, one in counts.items()})


def codes_of(values: Sequence[str | None]) -> Ints:
    """Returns a number for each value, `[records]`; -1 where it is missing."""
    number = {value: place for place, value in enumerate(sorted({value for value in values if value}))}
    return np.fromiter((number.get(value, -1) if value else -1 for value in values), np.int64, len(values))


def event_codes(splitting: Splitting) -> Ints:
    """Returns a number for the event of each record, `[records]`; events of one name at two locations are two.

    A record without an event is one by itself.
    """
    count = len(splitting.splits)
    if splitting.event is None:
        return np.arange(count)
    events = codes_of(splitting.inventory.meta(splitting.event))
    places = codes_of(splitting.inventory.meta(splitting.location)) if splitting.location else np.zeros(count, np.int64)
    known = (events + 1) * (int(places.max()) + 2) + places + 1
    _, codes = np.unique(np.where(events < 0, -1 - np.arange(count), known), return_inverse=True)
    return np.asarray(codes, np.int64)


def _distinct(cell: Ints, values: Ints, shape: tuple[int, int]) -> Ints:
    """Returns how many distinct values there are in each cell; -1 is none."""
    pairs = unique_pairs(cell[values >= 0], values[values >= 0])
    return np.bincount(pairs[0], minlength=shape[0] * shape[1])


@dataclass(frozen=True, slots=True)
class NotEvaluable:
    """A class that an evaluation split has no record of.

    Attributes:
        label: its label type.
        name: the class.
        places: in how many groups it is.
        splits: the splits that have it.
        lacking: the splits, other than train, that do not.
    """

    label: str
    name: str
    places: int
    splits: tuple[str, ...]
    lacking: tuple[str, ...]


def not_evaluable(splitting: Splitting) -> list[NotEvaluable]:
    """Returns the classes, of the label types that were spread, that some evaluation split lacks; by class."""
    rows = splitting.rows.of_labels(splitting.labels)
    joined = splitting.joined.joined[splitting.groups.of_record]
    pairs = unique_pairs(rows.code, joined[rows.record])
    places = np.bincount(pairs[0], minlength=len(rows.classes)).tolist()
    shape = (len(rows.classes), len(splitting.shares))
    cell = rows.code * shape[1] + splitting.split_codes[rows.record]
    held = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape) > 0
    splits = list(splitting.shares)
    found = []
    for number, (label, name) in enumerate(rows.classes):
        inside = tuple(split for split, some in zip(splits, held[number].tolist(), strict=True) if some)
        lacking = tuple(split for split in splits if split not in inside and split != splitting.train)
        if lacking:
            found.append(NotEvaluable(label, name, places[number], inside, lacking))
    return found


def never_in_train(rows: ClassRows, splits: Sequence[str], train: str) -> list[tuple[str, tuple[str, ...]]]:
    """Returns the classes that train lacks, and the splits that have them.

    Args:
        rows: which records show which classes.
        splits: the split of each record.
        train: the split that is trained on.
    """
    names = sorted(set(splits))
    number = {name: place for place, name in enumerate(names)}
    of_record = np.fromiter((number[split] for split in splits), np.int64, len(splits))
    held: dict[int, list[str]] = {}
    for code, split in zip(*(column.tolist() for column in unique_pairs(rows.code, of_record[rows.record])), strict=True):
        held.setdefault(code, []).append(names[split])
    return [(rows.classes[code][1], tuple(inside)) for code, inside in held.items() if train not in inside]


def write_table(table: SplitTable, path: Path) -> None:
    """Writes the table as CSV."""
    write_csv(path, HEADER, table.rows())


def table_text(table: SplitTable) -> str:
    """Returns the table for a person: images / events / locations of each class in each split."""
    shown = min(len(table.classes), CLASSES_SHOWN)
    several = len({label for label, _ in table.classes}) > 1
    rows = [["class", *(f"{split}: {' / '.join(UNITS)}" for split in table.splits)]]
    for number in range(shown):
        label, name = table.classes[number]
        cells = [
            " / ".join(str(int(table.counts[unit][number, place])) for unit in UNITS) for place in range(len(table.splits))
        ]
        rows.append([f"{label}: {name}" if several else name, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        row[0].ljust(widths[0]) + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    if shown < len(table.classes):
        lines.append(f"… {len(table.classes) - shown} more classes are in the table")
    return "\n".join(lines)


def draw_table(table: SplitTable, shares: Sequence[float | None], path: Path) -> None:
    """Draws the table: per class, how its images, events and locations are shared out, with the numbers of each split at
    the right; lines where the splits should end.

    Args:
        table: the counts; the first classes are drawn.
        shares: what each split was due; None where nothing was.
        path: PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = min(len(table.classes), CLASSES_SHOWN)
    several = len({label for label, _ in table.classes}) > 1
    names = [_short(f"{label}: {name}" if several else name) for label, name in table.classes[:shown]]
    left_in = 0.4 + 0.085 * max((len(name) for name in names), default=0)
    cells = {unit: [[str(count) for count in row] for row in table.counts[unit][:shown].tolist()] for unit in UNITS}
    numbers_in = 0.25 + NUMBER_IN * max(sum(_column_widths(cells[unit], len(table.splits))) for unit in UNITS)
    gap_in = numbers_in + 0.25
    width_in, height_in = left_in + len(UNITS) * (BARS_IN + gap_in), 1.45 + 0.27 * max(shown, 1)
    figure = Figure(figsize=(width_in, height_in), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(UNITS), sharey=True, squeeze=False)[0]
    figure.subplots_adjust(
        left=left_in / width_in, right=1 - gap_in / width_in, bottom=0.5 / height_in, top=1 - 0.8 / height_in,
        wspace=gap_in / BARS_IN,
    )  # fmt: skip
    for axis, unit in zip(axes, UNITS, strict=True):
        _draw_panel(axis, table.counts[unit][:shown].astype(float), unit, [share for share in shares if share is not None])
        _write_numbers(axis, cells[unit], len(table.splits))
    axes[0].set_yticks(range(shown), names, fontsize=8.5, parse_math=False)
    patches = [Patch(color=COLOURS[place % len(COLOURS)]) for place in range(len(table.splits))]
    legend = figure.legend(
        patches, [_short(split) for split in table.splits], loc="upper left", ncols=len(patches), frameon=False, fontsize=9
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    title = "What each split holds of each class, in % and, at the right, in numbers; splits in this order"
    title += " (dashed: where they should end)" if any(shares) else ""
    more = f"; the {shown} most frequent of {len(table.classes)} classes" if shown < len(table.classes) else ""
    figure.suptitle(title + more, x=0.14 / width_in, ha="left", y=1 - 0.4 / height_in, fontsize=9.5)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box stands for it
        figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def _draw_panel(axis: Axes, counts: npt.NDArray[np.float64], unit: str, shares: Sequence[float]) -> None:
    """Draws a bar per class, as long as 100 %, with a part for each split.

    Args:
        axis: where to draw.
        counts: `[classes, splits]`.
        unit: what is counted.
        shares: what each split was due; nothing where nothing was.
    """
    total = counts.sum(axis=1)
    start = np.zeros(len(counts))
    for place, colour in zip(range(counts.shape[1]), itertools.cycle(COLOURS), strict=False):
        part = 100 * counts[:, place] / np.maximum(total, 1)
        axis.barh(range(len(counts)), part, 0.78, start, color=colour)
        start += part
    for end in np.cumsum(shares)[:-1]:
        axis.axvline(100 * end, color="black", linewidth=0.8, linestyle="--")
    axis.set(xlim=(0, 100), ylim=(len(counts) - 0.4, -0.6))
    axis.set_xlabel(f"% of the {unit}", fontsize=8.5)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _column_widths(cells: Sequence[Sequence[str]], splits: int) -> list[int]:
    """Returns the width of the column of numbers of each split, in characters, a space included."""
    return [max((len(row[place]) for row in cells), default=0) + 1 for place in range(splits)]


def _write_numbers(axis: Axes, cells: Sequence[Sequence[str]], splits: int) -> None:
    """Writes the counts of each class beside its bar, a column for each split, in its colour.

    Args:
        axis: the panel.
        cells: `[classes, splits]`, the counts as text.
        splits: how many splits there are.
    """
    inch = 100 / BARS_IN
    ends = itertools.accumulate(_column_widths(cells, splits))
    for place, end in enumerate(ends):
        for number, row in enumerate(cells):
            axis.text(
                100 + inch * (0.1 + NUMBER_IN * end), number, row[place], ha="right", va="center", fontsize=8,
                color=_darker(COLOURS[place % len(COLOURS)]), fontweight="bold" if row[place] != "0" else "normal",
            )  # fmt: skip


def _darker(colour: str) -> tuple[float, ...]:
    """Returns a colour of a bar, dark enough for small letters on white."""
    from matplotlib.colors import to_rgb

    return tuple(0.72 * part for part in to_rgb(colour))


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"
