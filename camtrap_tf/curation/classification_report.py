"""What a classification data set holds, split by split: tables, what is too little, examples, and a page of it all."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from camtrap_tf.cct.counting import table_lines
from camtrap_tf.config.classification import ClassificationInspectConfig
from camtrap_tf.curation.classification_sets import SPLITS
from camtrap_tf.errors import SourceError, counted
from camtrap_tf.files import join_inside, require_folder, writable_folder, write_csv, write_text
from camtrap_tf.records import Reject
from camtrap_tf.sources.classification_csv import FILE as TABLE
from camtrap_tf.sources.classification_csv import CropRow, read_rows
from camtrap_tf.sources.split_files import COMBINED, Place, Splits, places_to_splits, read_splits

COLUMNS = ("label", "split", "crops", "crop_share", "locations", "location_share", "share_in_split", "weight", "datasets")

ENOUGH: Mapping[str, tuple[tuple[int, float], tuple[int, float]]] = {
    "train": ((10, 0.40), (1000, 0.40)),
    "val": ((5, 0.10), (300, 0.09)),
    "test": ((5, 0.10), (300, 0.09)),
}
"""Per split, at least so many locations or such a share of the label's, and at least so many crops and such a share.

Source: the limits that MegaDetector's inspection of classification data sets marks: fewer locations than the number, or a
smaller share of them, is too little; fewer crops than the number is too little where their share is smaller, too.
"""

THUMB_PX = 96
STRIP_PX, ROW_PX, DOT_PX = 520, 26, 3.5
"""Width of the plot of crops per location, height of a label in it, radius of a location."""

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Colours of the splits, which colour-blind people can tell apart. Source: Okabe and Ito."""


@dataclass(frozen=True, slots=True)
class LabelInSplit:
    """What one split has of one label.

    Attributes:
        label: the label.
        split: the split.
        crops: crops of it.
        crop_share: that of all its crops.
        locations: (data set, location) pairs with it.
        location_share: that of all its pairs.
        share_in_split: its share of the split's crops.
        weight: weight that makes labels of the split count alike: crops / (crops of the label * labels).
        datasets: data sets that its crops are of.
        flags: what is too little.
    """

    label: str
    split: str
    crops: int
    crop_share: float
    locations: int
    location_share: float
    share_in_split: float
    weight: float
    datasets: tuple[str, ...]
    flags: tuple[str, ...]

    def cells(self) -> tuple[str | int | float, ...]:
        """Returns the row of the table, in the order of `COLUMNS`."""
        return (
            self.label, self.split, self.crops, round(self.crop_share, 4), self.locations, round(self.location_share, 4),
            round(self.share_in_split, 4), round(self.weight, 4), " ".join(self.datasets),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a classification data set holds.

    Attributes:
        path: the data set.
        crops: how many crops.
        rejects: rows of the table that are no crops.
        locations: split → its locations that have crops.
        table: per label and split, what is there.
        moved: locations that another splits.json has in another split: place, split here, split there; None: not compared.
        unplaced: crops at locations without a split.
        written: files that were written.
        notes: what the user should know.
    """

    path: Path
    crops: int
    rejects: tuple[Reject, ...]
    locations: dict[str, int]
    table: tuple[LabelInSplit, ...]
    moved: tuple[tuple[Place, str, str], ...] | None
    unplaced: int
    written: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    def flag_lines(self) -> list[str]:
        """Returns what is too little to trust a score, a line per label, after the limits; nothing where all is enough."""
        by_label: dict[str, list[str]] = {}
        for one in self.table:
            by_label.setdefault(one.label, []).extend(f"{one.split} {flag}" for flag in one.flags)
        lines = [f"  {label}: {', '.join(flags)}" for label, flags in by_label.items() if flags]
        limits = "; ".join(
            f"{split} {locations} locations and {share:.0%} of them, {crops} crops or {crop_share:.0%}"
            for split, ((locations, share), (crops, crop_share)) in ENOUGH.items()
        )
        return [f"too little to trust a score (enough is: {limits}):", *lines] if lines else []

    def text(self) -> str:
        """Returns the tables for a person."""
        where = ", ".join(f"{name} {count}" for name, count in self.locations.items())
        lines = [
            f"{self.path}: {counted(self.crops, 'crop')}, {counted(len(self.rejects), 'row')} rejected; locations: {where}"
        ]
        lines += table_lines(COLUMNS, [one.cells() for one in self.table])
        if self.unplaced:
            lines.append(f"warning: {counted(self.unplaced, 'crop')} at locations that no split has")
        lines += self.flag_lines()
        if self.moved is not None:
            lines.append(f"{counted(len(self.moved), 'location')} in another split there")
            lines += [f"  {dataset}/{location}: {here} here, {there} there" for (dataset, location), here, there in self.moved]
        return "\n".join([*lines, *self.notes, *map(str, self.written)])


def inspect_classification_set(config: ClassificationInspectConfig) -> Inspection:
    """Makes the tables of a classification data set and writes them where asked to.

    Raises:
        SettingError: a folder is not there.
        SourceError: a file cannot be read, or the table has no usable row.
    """
    table = config.path / TABLE if config.path.is_dir() else config.path
    if config.crops_dir is not None:
        require_folder(config.crops_dir, "--crops-dir")
    splits = read_splits(config.splits or table.parent / SPLITS)
    entries = list(read_rows(table))
    rows = [row for row in entries if isinstance(row, CropRow)]
    rejects = [row for row in entries if isinstance(row, Reject)]
    if not rows:
        raise SourceError(f"{table}: no usable row; {len(rejects)} rejected")
    split_of = _split_finder(splits)
    unplaced = sum(split_of(row.place) is None for row in rows)
    moved = None if config.compare is None else compared(splits, read_splits(config.compare))
    found = Inspection(
        path=table,
        crops=len(rows),
        rejects=tuple(rejects),
        locations={name: len({row.place for row in rows if split_of(row.place) == name}) for name in splits},
        table=tuple(tabulate(rows, splits)),
        moved=moved,
        unplaced=unplaced,
        written=(),
        notes=tuple(_unused(config)),
    )
    return found if config.output_dir is None else _written(found, rows, splits, config)


def _unused(config: ClassificationInspectConfig) -> Iterator[str]:
    """Yields a sentence on the crops where no page is written that could show them."""
    if config.examples and config.crops_dir is not None and config.output_dir is None:
        yield "--crops-dir: not looked at, as examples are on the page, which --output-dir writes"


def _split_finder(splits: Splits) -> Callable[[Place], str | None]:
    """Returns a function that gives the split of a (data set, location) pair, or None."""
    known = places_to_splits(splits)
    return lambda place: known.get(place) or known.get((COMBINED, place[1]))


def tabulate(rows: Sequence[CropRow], splits: Splits) -> list[LabelInSplit]:
    """Returns one entry per label and split, labels by name, splits in their order."""
    labels = sorted({label for row in rows for label in row.labels})
    names = list(splits)
    split_of = _split_finder(splits)
    number = {label: place for place, label in enumerate(labels)}
    crops = np.zeros((len(labels), len(names)), np.int64)
    places: dict[tuple[str, str], set[Place]] = {}
    datasets: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        split = split_of(row.place)
        if split is None:
            continue
        for label in row.labels:
            crops[number[label], names.index(split)] += 1
            places.setdefault((label, split), set()).add(row.place)
            datasets.setdefault((label, split), set()).add(row.dataset)
    found = []
    for label in labels:
        whole = int(crops[number[label]].sum())
        everywhere = sum(len(places.get((label, name), ())) for name in names)
        for column, name in enumerate(names):
            mine, split_crops = int(crops[number[label], column]), int(crops[:, column].sum())
            there = len(places.get((label, name), ()))
            kinds = int((crops[:, column] > 0).sum())
            found.append(
                LabelInSplit(
                    label=label,
                    split=name,
                    crops=mine,
                    crop_share=mine / whole if whole else 0.0,
                    locations=there,
                    location_share=there / everywhere if everywhere else 0.0,
                    share_in_split=mine / split_crops if split_crops else 0.0,
                    weight=split_crops / (mine * kinds) if mine else 0.0,
                    datasets=tuple(sorted(datasets.get((label, name), ()))),
                    flags=too_little(name, mine, mine / whole if whole else 0, there, there / everywhere if everywhere else 0),
                )
            )
    return found


def too_little(split: str, crops: int, crop_share: float, locations: int, location_share: float) -> tuple[str, ...]:
    """Returns what a split has too little of, as phrases; splits of other names have no limits."""
    if split not in ENOUGH:
        return ()
    (few_locations, small_share), (few_crops, small_crop_share) = ENOUGH[split]
    flags = []
    if locations < few_locations or location_share < small_share:
        flags.append(f"{counted(locations, 'location')} ({location_share:.0%})")
    if crops < few_crops and crop_share < small_crop_share:
        flags.append(f"{counted(crops, 'crop')} ({crop_share:.0%})")
    return tuple(flags)


def compared(here: Splits, there: Splits) -> tuple[tuple[Place, str, str], ...]:
    """Returns the places that both splittings have, in different splits."""
    ours, theirs = places_to_splits(here), places_to_splits(there)
    both = sorted(ours.keys() & theirs.keys())
    return tuple((place, ours[place], theirs[place]) for place in both if ours[place] != theirs[place])


def _written(found: Inspection, rows: Sequence[CropRow], splits: Splits, config: ClassificationInspectConfig) -> Inspection:
    """Writes the tables and the page; returns the inspection with their names."""
    folder = writable_folder(config.output_dir or Path(), "--output-dir")
    files = [folder / "labels_by_split.csv", folder / "crops_by_location.csv", folder / "inspection.html"]
    write_csv(files[0], (*COLUMNS, "too_little"), ((*one.cells(), "; ".join(one.flags)) for one in found.table))
    by_place = _crops_by_place(rows)
    write_csv(files[1], ("label", "dataset", "location", "crops"), by_place)
    examples = _examples(rows, config)
    page = _template().render(
        path=str(found.path),
        found=found,
        columns=COLUMNS,
        largest=_largest(by_place),
        strip=_strip(by_place, splits),
        examples=examples,
    )
    write_text(files[2], page)
    return Inspection(
        found.path, found.crops, found.rejects, found.locations, found.table, found.moved, found.unplaced, tuple(files)
    )


def _crops_by_place(rows: Sequence[CropRow]) -> list[tuple[str, str, str, int]]:
    counts: dict[tuple[str, str, str], int] = {}
    for row in rows:
        for label in row.labels:
            key = (label, *row.place)
            counts[key] = counts.get(key, 0) + 1
    return [(*key, count) for key, count in sorted(counts.items(), key=lambda one: (one[0][0], -one[1], one[0]))]


def _strip(by_place: Sequence[tuple[str, str, str, int]], splits: Splits) -> dict[str, object]:
    """Returns what the plot of crops per location needs: a row per label, a dot per location, the scale logarithmic."""
    labels = list(dict.fromkeys(label for label, _, _, _ in by_place))
    most = max(count for _, _, _, count in by_place)
    colours = dict(zip(splits, itertools.cycle(COLOURS), strict=False))
    split_of = _split_finder(splits)

    def across(count: int) -> float:
        """Returns where a number of crops is, in px."""
        return round(STRIP_PX * math.log(count) / math.log(max(most, 2)), 1)

    # The splits of a label lie beside each other, so that no dot covers one of another colour.
    lanes = {name: ROW_PX * (place + 1) / (len(splits) + 1) for place, name in enumerate(splits)}
    dots = [
        {
            "x": across(count),
            "y": round(ROW_PX * labels.index(label) + lanes.get(split := split_of((dataset, location)) or "", ROW_PX / 2), 1),
            "colour": colours.get(split, "#999"),
            "title": f"{label} at {dataset}/{location}: {count}",
        }
        for label, dataset, location, count in by_place
    ]
    ticks = [{"x": across(count), "count": count} for count in (10**power for power in range(7)) if count <= most]
    height = ROW_PX * len(labels)
    rows = [{"y": ROW_PX * place + ROW_PX // 2, "label": label} for place, label in enumerate(labels)]
    return {
        "dots": dots,
        "ticks": ticks,
        "rows": rows,
        "height": height,
        "width": STRIP_PX,
        "radius": DOT_PX,
        "colours": colours,
    }


def _largest(by_place: Sequence[tuple[str, str, str, int]]) -> list[dict[str, object]]:
    """Returns per label the location with most of its crops, and their share: a label that one place dominates is suspect."""
    totals: dict[str, int] = {}
    for label, _, _, count in by_place:
        totals[label] = totals.get(label, 0) + count
    first: dict[str, dict[str, object]] = {}
    for label, dataset, location, count in by_place:
        share = count / totals[label]
        first.setdefault(label, {"label": label, "place": f"{dataset}/{location}", "crops": count, "share": share})
    return list(first.values())


def _examples(rows: Sequence[CropRow], config: ClassificationInspectConfig) -> dict[str, list[dict[str, str]]]:
    """Returns label → some of its crops as small pictures in the page itself."""
    if config.crops_dir is None or not config.examples:
        return {}
    found: dict[str, list[dict[str, str]]] = {}
    ranked = sorted(rows, key=lambda row: hashlib.sha256(f"{config.seed}:{row.path}".encode()).digest())
    for row in ranked:
        for label in row.labels:
            if len(found.setdefault(label, [])) < config.examples:
                picture = _thumb(config.crops_dir, row.path)
                if picture is not None:
                    found[label].append({"picture": picture, "path": row.path})
    return dict(sorted(found.items()))


def _thumb(folder: Path, name: str) -> str | None:
    try:
        with Image.open(join_inside(folder, name)) as picture:
            picture.thumbnail((THUMB_PX, THUMB_PX))
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "JPEG", quality=80)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = resources.files("camtrap_tf.curation").joinpath("classification_report.html").read_text(encoding="utf-8")
    return environment.from_string(text)
