"""Two tables that every standard of the camera-trap world comes down to: its pictures, and what was seen on them.

A reader fills them with what its format says; checking files, times and events, and making records of them, is the same
for all (`picture_checks`, `picture_records`). Both are columns (Arrow), so that files of many pictures go through quickly.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.errors import counted
from camtrap_tf.records import Reject
from camtrap_tf.sources.cct_document import text_of

LABEL = "label/"
META = "meta/"
VIDEO = "video"
"""Unit and reason of entries that are videos: listed like rejects, but no pictures that went wrong."""

PICTURES = "pictures"
"""Unit of the tally of pictures."""

NO_PICTURE = -1
"""Row of the picture of an observation that is of an event as a whole."""

BOX = ("x", "y", "width", "height")
CONFIDENCE = "confidence"
BLANK_NAMES = frozenset({"empty", "blank"})
"""Classes that say that nothing is there."""

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Tally:
    """What became of the entries of one kind: read = used + rejected + those that are elsewhere.

    Attributes:
        unit: what they are, e.g. `pictures`.
        read: how many there were.
        used: how many are in the records.
        rejected: how many are in the rejects table.
        elsewhere: where the others are → how many, e.g. `remote, not fetched`.
    """

    unit: str
    read: int = 0
    used: int = 0
    rejected: int = 0
    elsewhere: dict[str, int] = field(default_factory=dict)

    def put(self, where: str, count: int) -> None:
        """Counts entries that are neither used nor rejected."""
        if count:
            self.elsewhere[where] = self.elsewhere.get(where, 0) + count

    def text(self) -> str:
        """Returns `12 pictures read = 10 used + 1 rejected + 1 remote, not fetched`."""
        others = "".join(f" + {count} {where}" for where, count in self.elsewhere.items())
        return f"{counted(self.read, self.unit.removesuffix('s'))} read = {self.used} used + {self.rejected} rejected{others}"


@dataclass(kw_only=True)
class PictureTables:
    """What a reader found.

    Attributes:
        pictures: a row per picture: `item` (how rejects name it), `id` (unique), `path`, `location`, `camera`, `event`,
            `frame` (int64), `time` (as given), `licence`, `meta/<field>`; all but the first three may be null.
        seen: a row per observation: `item`, `picture` (row, or `NO_PICTURE`), `event` (of those without a picture),
            `per_event` (it is of the event as a whole), `x`, `y`, `width`, `height` (NaN: no box), `confidence` of the box
            (NaN: not known), `label/<type>` (null: missing).
        per_event: whether labels are given per event rather than per picture.
        main_label: label type that tells blanks from others.
        lost: `[pictures]` whether an observation of it was rejected.
        seen_of_rejected: observations that are not in `seen` because their picture was rejected on reading.
        rejects: entries that are in neither table, those of videos among them.
        pictures_read: entries for pictures in the source; those of `rejects` with the unit `picture` or `video` among them.
        seen_read: entries for observations.
        seen_unit: what the source calls them, e.g. `annotations`.
        notes: sentences for the log.
        advice: what helps where too much was rejected, e.g. a flag that reads it; empty: nothing that is known.
    """

    pictures: pa.Table
    seen: pa.Table
    per_event: bool
    main_label: str
    lost: Flags
    rejects: list[Reject]
    pictures_read: int
    seen_read: int
    seen_unit: str = "observations"
    seen_of_rejected: int = 0
    notes: list[str] = field(default_factory=list)
    advice: str = ""

    @property
    def label_types(self) -> list[str]:
        """The label types, sorted."""
        return label_types_of(self.seen)


def picture_reject(record_id: str, item: str, reason: str, detail: str) -> Reject:
    """Returns why an entry for a picture is not used; that of a video has a unit of its own, as it is no faulty picture."""
    return Reject(record_id, item, VIDEO if reason == VIDEO else "picture", reason, detail)


def label_types_of(seen: pa.Table) -> list[str]:
    """Returns the label types of a table of observations, sorted: what follows `label/` in the names of its columns."""
    return sorted(name[len(LABEL) :] for name in seen.column_names if name.startswith(LABEL))


def texts(values: Iterable[Any]) -> pa.Array:
    """Returns a column of texts: numbers as `text_of` writes them; empty texts and what is neither are null."""
    values = list(values)
    kinds = set(map(type, values)) - {type(None)}
    try:
        if kinds <= {str}:
            column = pa.array(values, pa.string())
            return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        if kinds == {int}:
            return pa.array(values, pa.int64()).cast(pa.string())
    except OverflowError:
        pass  # whole numbers beyond 64 bits: one by one
    return pa.array([value if type(value) is str and value else text_of(value) for value in values], pa.string())


def values_of(entries: Iterable[dict[str, Any]], key: str) -> list[Any]:
    """Returns the value that each entry has for a key; None where it has none."""
    return list(map(dict.get, entries, itertools.repeat(key)))


def whole_numbers(values: list[Any]) -> pa.Array:
    """Returns a column of whole numbers; null where there is something else, or one too large for 64 bits."""
    if set(map(type, values)) <= {int, type(None)}:
        try:
            return pa.array(values, pa.int64())
        except OverflowError:
            pass
    return pa.array([value if type(value) is int and abs(value) < 2**62 else None for value in values], pa.int64())


def picture_table(
    *,
    items: pa.Array,
    ids: pa.Array,
    paths: pa.Array,
    columns: Mapping[str, pa.Array | None] | None = None,
    meta: Mapping[str, pa.Array] | None = None,
) -> pa.Table:
    """Returns the table of pictures.

    Args:
        items: how rejects name them.
        ids: unique names.
        paths: where they lie.
        columns: any of `location`, `camera`, `event`, `frame`, `time`, `licence`; absent or None: unknown.
        meta: further facts to keep.
    """
    given = {name: column for name, column in (columns or {}).items() if column is not None}
    kinds = {"frame": pa.int64()}
    table = {"item": items, "id": ids, "path": paths}
    for name in ("location", "camera", "event", "frame", "time", "licence"):
        kind = kinds.get(name, pa.string())
        table[name] = given.pop(name).cast(kind) if name in given else pa.nulls(len(ids), kind)
    for name, column in (meta or {}).items():
        table[META + name] = column
    return pa.table(table)


def seen_table(
    *,
    items: pa.Array,
    picture: Rows,
    labels: Mapping[str, pa.Array],
    boxes: npt.NDArray[np.float64] | None = None,
    confidences: npt.NDArray[np.float64] | None = None,
    event: pa.Array | None = None,
    per_event: Flags | None = None,
) -> pa.Table:
    """Returns the table of observations; see `PictureTables.seen`. Without `per_event`, those without a picture are."""
    count = len(picture)
    numbers = np.full((count, 4), np.nan) if boxes is None else boxes
    table = {
        "item": items,
        "picture": pa.array(picture, pa.int64()),
        "event": pa.nulls(count, pa.string()) if event is None else event,
        "per_event": pa.array((picture == NO_PICTURE) if per_event is None else per_event),
    }
    for place, name in enumerate(BOX):
        table[name] = pa.array(numbers[:, place])
    table[CONFIDENCE] = pa.array(np.full(count, np.nan) if confidences is None else confidences)
    return pa.table(table | {LABEL + label: column for label, column in labels.items()})


def numbered(what: str, numbers: Rows | Sequence[int]) -> pa.Array:
    """Returns `<what> <number>` for each number, e.g. `image 12`."""
    return pc.binary_join_element_wise(what, pa.array(numbers, pa.int64()).cast(pa.string()), " ")


def join_known(columns: Sequence[pa.Array], separator: str) -> pa.Array:
    """Returns the texts of several columns joined row by row; nulls are left out, a row of nulls is null.

    (Arrow's own `null_handling="skip"` leaves out rows in which all are null.)
    """
    joined = columns[0]
    for column in columns[1:]:
        joined = pc.coalesce(pc.binary_join_element_wise(joined, column, separator), joined, column)
    return joined


def numbered_twins(names: Sequence[str]) -> list[str]:
    """Returns the names, all different: one that is there already gets a number, `a (2)`."""
    counts: Counter[str] = Counter()
    taken = set(names)
    different = []
    for name in names:
        counts[name] += 1
        chosen = name
        while counts[name] > 1 and (chosen := f"{name} ({counts[name]})") in taken:
            counts[name] += 1
        taken.add(chosen)
        different.append(chosen)
    return different


def folders_of(path: str, count: int) -> str | None:
    """Returns the first folders of a path, joined by `/`; None where it has none."""
    parts = [part for part in path.replace("\\", "/").split("/")[:-1] if part not in ("", ".")]
    return "/".join(parts[:count]) or None
