"""From checked pictures and observations to records: one per picture, or one per event, as the labels are given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from camtrap_tf.config.picture_sources import PictureSourceConfig
from camtrap_tf.errors import counted
from camtrap_tf.records import MISSING, BoundingBox, CaptureEvent, Media, Observation, Reject
from camtrap_tf.sources.event_gaps import gap_events
from camtrap_tf.sources.picture_checks import CheckedPictures, check_pictures
from camtrap_tf.sources.picture_tables import (
    BLANK_NAMES,
    BOX,
    CONFIDENCE,
    LABEL,
    META,
    NO_PICTURE,
    Flags,
    PictureTables,
    Rows,
    Tally,
    join_known,
    label_types_of,
    numbered_twins,
)

SLICE_ROWS = 16_384
"""Records that are held as Python objects at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedPictures:
    """Records in columns; pictures and observations are in the order of the records they belong to.

    Attributes:
        ids: record ids.
        meta: meta data field → a text or null per record.
        pictures: `record`, `id`, `path`, `time`, `licence`.
        seen: `record`, `media_id` (null: of the event as a whole), `x`, `y`, `width`, `height`, `label/<type>` (null: missing);
            at least one row per record.
        checked: what the records were made of.
        notes: sentences for the log.
    """

    ids: pa.Array
    meta: dict[str, pa.Array]
    pictures: pa.Table
    seen: pa.Table
    checked: CheckedPictures
    notes: tuple[str, ...]

    @property
    def label_types(self) -> list[str]:
        """The label types, sorted."""
        return label_types_of(self.seen)


class PictureSource(ABC):
    """A source of the camera-trap world. A subclass says what its format holds; the rest is the same for all.

    Attributes:
        unit: what is counted.
        read: pictures and observations seen so far; each is part of a record, rejected, remote, or tallied elsewhere.
        notes: sentences for the log, complete once `records` or `grouped` was used.
        advice: likewise, what helps where too much was rejected.
    """

    unit = "entries"

    def __init__(self, config: PictureSourceConfig) -> None:
        """Keeps the settings; the source is read when records are asked for."""
        self.config = config
        self.read = 0
        self.notes: list[str] = []
        self.advice = ""

    @abstractmethod
    def tables(self) -> PictureTables:
        """Reads the source.

        Raises:
            SourceError: it cannot be read.
        """

    @cached_property
    def grouped(self) -> GroupedPictures:
        """The records in columns; reads the source on first use.

        Raises:
            SourceError: it cannot be read.
            SettingError: the image root cannot be used.
        """
        tables = self.tables()
        self.read = tables.pictures_read + tables.seen_read
        self.advice = tables.advice
        grouped = group_pictures(tables, check_pictures(tables, self.config), self.config)
        self.notes = list(grouped.notes)
        return grouped

    def records(self) -> Iterator[CaptureEvent | Reject]:
        """Yields every reject, then every record, one by one."""
        yield from self.grouped.checked.rejects
        yield from records_of(self.grouped)


def group_pictures(tables: PictureTables, checked: CheckedPictures, config: PictureSourceConfig) -> GroupedPictures:
    """Makes records of pictures.

    Labels of an event as a whole hold for each of its pictures where none of them has labels of its own. A record of an
    event has the labels of the event as a whole where there are some, else those of its pictures; blank frames of an
    event in which something was seen do not count.
    """
    notes = list(checked.notes)
    events = _events(checked, config.event_gap_s, notes)
    by_event = tables.per_event if config.records == "auto" else config.records == "events"
    kind = "event" if by_event else "picture"
    if config.records == "auto":
        given = "event" if tables.per_event else "picture"
        notes.append(f"labels are given per {given}, so there is a record per {kind} (--records)")
    if len(checked.pictures) and checked.pictures["location"].null_count == len(checked.pictures):
        flag = "; --location-from-path takes it from the folders" if hasattr(config, "location_from_path") else ""
        notes.append(f"no location is known, so splits cannot keep a camera whole{flag}")
    tally = checked.seen_tally
    if by_event:
        records, ids, order = _event_records(checked, events)
        seen = _seen_of_events(checked.seen, records, events, tables, tally)
        frames = None
    else:
        order = np.arange(len(checked.pictures), dtype=np.int64)
        records, ids, frames = order, checked.pictures["id"].combine_chunks(), checked.pictures["frame"]
        seen = _seen_of_pictures(checked.seen, events, tally)
    firsts = order[np.unique(records[order], return_index=True)[1]]
    seen = _with_missing(seen, len(ids))
    return GroupedPictures(
        ids=ids,
        meta=_meta(checked.pictures, events, frames, firsts),
        pictures=_pictures(checked.pictures, records, order),
        seen=_with_media_ids(seen, checked.pictures["id"].combine_chunks()),
        checked=checked,
        notes=tuple(notes),
    )


def _events(checked: CheckedPictures, gap_s: float, notes: list[str]) -> pa.Array:
    """Returns the event of each picture: the one its source names, else one made from time gaps; null where neither."""
    named = checked.pictures["event"].combine_chunks()
    lacking = np.flatnonzero(np.asarray(pc.is_null(named)))
    if not len(lacking):
        return named
    rows = pa.array(lacking)
    cameras = _cameras(checked.pictures.take(rows))
    seconds = checked.seconds[lacking]
    firsts = gap_events(np.asarray(cameras.dictionary_encode().indices, np.int64), seconds, gap_s)
    timed = firsts >= 0
    times = checked.pictures["time"].combine_chunks().take(rows)
    starts = pa.array(np.maximum(firsts, 0))
    names = pc.binary_join_element_wise(cameras.take(starts), times.take(starts), " ")
    made = pc.if_else(pa.array(timed), names, None)
    places = np.full(len(named), -1, np.int64)
    places[lacking] = np.arange(len(lacking))
    filled = pc.if_else(pa.array(places >= 0), made.take(pa.array(np.maximum(places, 0))), named)
    if timed.any():
        pictures, count = counted(int(timed.sum()), "picture"), counted(len(np.unique(firsts[timed])), "event")
        notes.append(f"{pictures} without an event, put in {count} by gaps of more than {gap_s:g} s")
    return filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled


def _cameras(pictures: pa.Table) -> pa.Array:
    """Returns a text per picture that says which camera took it: location and camera, or the folder it lies in."""
    location, camera = (pictures[name].combine_chunks() for name in ("location", "camera"))
    unknown = np.asarray(pc.and_(pc.is_null(location), pc.is_null(camera)))
    both = join_known([location, camera], "/")
    if not unknown.any():
        return both
    folders = pa.array([path.rpartition("/")[0] for path in pictures["path"].to_pylist()], pa.string())
    return pc.if_else(pa.array(unknown), folders, both)


def _event_records(checked: CheckedPictures, events: pa.Array) -> tuple[Rows, pa.Array, Rows]:
    """Returns the record of each picture, the ids of the records, and the pictures in the order of records and frames.

    Events of one name at two locations are two records. A picture without an event is a record by itself.
    """
    pictures = checked.pictures
    count = len(pictures)
    location = pictures["location"].combine_chunks()
    alone = np.asarray(pc.is_null(events))
    event_codes = np.asarray(pc.fill_null(events.dictionary_encode().indices, 0), np.int64)
    place_codes = np.asarray(pc.fill_null(location.dictionary_encode().indices, -1), np.int64) + 1
    keys = event_codes * (int(place_codes.max(initial=0)) + 1) + place_codes
    keys[alone] = int(keys.max(initial=0)) + 1 + np.arange(int(alone.sum()))
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), np.int64)
    by_appearance = np.argsort(firsts, kind="stable")
    ranks[by_appearance] = np.arange(len(firsts))
    records: Rows = ranks[inverse]
    starts = pa.array(firsts[by_appearance])
    ids = _unique_ids(events.take(starts), location.take(starts), pictures["id"].combine_chunks().take(starts))
    frames = np.asarray(pc.fill_null(pictures["frame"].combine_chunks(), 0), np.int64)
    order: Rows = np.lexsort((np.arange(count), checked.seconds, frames, records)).astype(np.int64)
    return records, ids, order


def _unique_ids(events: pa.Array, locations: pa.Array, pictures: pa.Array) -> pa.Array:
    """Returns an id per record: its event, with the location where two have one name, or its picture."""
    ids = pc.coalesce(events, pictures)
    codes = np.asarray(ids.dictionary_encode().indices, np.int64)
    shared = np.bincount(codes, minlength=1)[codes] > 1 if len(codes) else np.zeros(0, bool)
    if not shared.any():
        return ids
    longer = join_known([locations, ids], "/")
    longer = pc.if_else(pc.is_null(events), pc.binary_join_element_wise("picture", pictures, " "), longer)
    return pa.array(numbered_twins(pc.if_else(pa.array(shared), longer, ids).to_pylist()), pa.string())


def _seen_of_pictures(seen: pa.Table, events: pa.Array, tally: Tally) -> pa.Table:
    """Returns the observations for a record per picture, with the column `record`."""
    rows = np.asarray(seen["picture"], np.int64)
    own = rows != NO_PICTURE
    tally.used = int(own.sum())
    parts = [seen.filter(pa.array(own))]
    whole = seen.filter(pa.array(~own))
    if len(whole):
        names = events.to_pylist()
        observed = {names[row] for row in rows[own].tolist()}
        bare: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            if name is not None and name not in observed:
                bare.setdefault(name, []).append(row)
        spread = [(number, row) for number, name in enumerate(whole["event"].to_pylist()) for row in bare.get(name, ())]
        taken = len({number for number, _ in spread})
        tally.used += taken
        tally.put("of events as a whole, whose pictures have their own or are not here", len(whole) - taken)
        copies = whole.take(pa.array([number for number, _ in spread], pa.int64()))
        place = copies.column_names.index("picture")
        parts.append(copies.set_column(place, "picture", pa.array([row for _, row in spread], pa.int64())))
    table = pa.concat_tables(parts)
    table = table.append_column("record", table["picture"])
    return table.set_column(table.column_names.index("per_event"), "per_event", pa.array(np.zeros(len(table), bool)))


def _seen_of_events(seen: pa.Table, records: Rows, events: pa.Array, tables: PictureTables, tally: Tally) -> pa.Table:
    """Returns the observations for a record per event, with the column `record`."""
    rows = np.asarray(seen["picture"], np.int64)
    record = np.where(rows == NO_PICTURE, -1, records[rows] if len(records) else rows)
    if (rows == NO_PICTURE).any():
        by_name: dict[str | None, int] = {}
        for name, number in zip(events.to_pylist(), records.tolist(), strict=True):
            by_name.setdefault(name, number)
        names = seen["event"].to_pylist()
        for row in np.flatnonzero(rows == NO_PICTURE).tolist():
            record[row] = by_name.get(names[row], -1) if names[row] is not None else -1
    known = record >= 0
    tally.put("of events without a picture here", int(np.sum(~known)))
    per_event = np.asarray(seen["per_event"], bool) & known
    count = int(records.max(initial=-1)) + 1
    whole = np.zeros(count + 1, bool)
    whole[record[per_event]] = True
    of_pictures = known & ~per_event & whole[record]
    tally.put("of pictures whose event has labels of its own", int(of_pictures.sum()))
    blank = _blank_frames(seen, record, known & ~of_pictures, tables.main_label, count)
    tally.put("of blank frames in events with animals", int(blank.sum()))
    stays = known & ~of_pictures & ~blank
    again = _repeated(seen, record, stays & per_event)
    tally.put("said already", int(again.sum()))
    stays &= ~again
    tally.used = int(stays.sum())
    return seen.append_column("record", pa.array(record)).filter(pa.array(stays))


def _blank_frames(seen: pa.Table, record: Rows, among: Flags, label: str, count: int) -> Flags:
    """Returns which observations say that a picture is blank, of records in which something was seen."""
    names = seen[LABEL + label].combine_chunks()
    blank = np.asarray(pc.fill_null(pc.is_in(pc.utf8_lower(names), pa.array(sorted(BLANK_NAMES))), False), bool) & among
    found = np.asarray(pc.and_(pc.is_valid(names), pc.not_equal(pc.fill_null(names, MISSING), MISSING)), bool) & among & ~blank
    occupied = np.zeros(count + 1, bool)
    occupied[record[found]] = True
    return blank & occupied[record]


def _repeated(seen: pa.Table, record: Rows, among: Flags) -> Flags:
    """Returns which of the observations of events as a whole say what an earlier one of the record says."""
    again = np.zeros(len(seen), bool)
    rows = np.flatnonzero(among)
    columns = [name for name in seen.column_names if name.startswith(LABEL)]
    key = record[rows]
    for name in columns:
        codes = np.asarray(pc.fill_null(seen[name].combine_chunks().dictionary_encode().indices, -1), np.int64)[rows]
        key = np.unique(np.stack([key, codes]), axis=1, return_inverse=True)[1].reshape(-1) if len(rows) else key
    again[rows] = True
    again[rows[np.unique(key, return_index=True)[1]]] = False
    return again


def _with_missing(seen: pa.Table, count: int) -> pa.Table:
    """Returns the observations sorted by record, with one that misses every label for each record that has none."""
    bare = np.ones(count, bool)
    bare[np.asarray(seen["record"], np.int64)] = False
    rows = np.flatnonzero(bare)
    if len(rows):
        nothing = {field.name: pa.nulls(len(rows), field.type) for field in seen.schema}
        nothing["record"] = pa.array(rows, pa.int64())
        nothing["picture"] = pa.array(np.full(len(rows), NO_PICTURE), pa.int64())
        seen = pa.concat_tables([seen, pa.table(nothing, schema=seen.schema)])
    record = np.asarray(seen["record"], np.int64)
    if (np.diff(record) < 0).any():
        seen = seen.take(pa.array(np.argsort(record, kind="stable")))
    return seen.combine_chunks()


def _with_media_ids(seen: pa.Table, ids: pa.Array) -> pa.Table:
    """Returns the observations with `media_id`; those of events as a whole have neither that nor a box."""
    rows = np.asarray(seen["picture"], np.int64)
    whole = (rows == NO_PICTURE) | np.asarray(pc.fill_null(seen["per_event"], False), bool)
    media_ids = (
        pc.if_else(pa.array(whole), None, ids.take(pa.array(np.maximum(rows, 0)))) if len(ids) else pa.nulls(0, pa.string())
    )
    columns = {"record": seen["record"], "media_id": media_ids}
    for name in (*BOX, CONFIDENCE):
        numbers = np.asarray(pc.fill_null(seen[name], np.nan), np.float64)
        columns[name] = pa.array(np.where(whole, np.nan, numbers))
    return pa.table(columns | {name: seen[name] for name in seen.column_names if name.startswith(LABEL)})


def _pictures(pictures: pa.Table, records: Rows, order: Rows) -> pa.Table:
    """Returns the pictures with their records, in the order of these."""
    chosen = pictures.select(["id", "path", "time", "licence"])
    if (np.diff(order) != 1).any():
        chosen = chosen.take(pa.array(order))
    return chosen.append_column("record", pa.array(records[order])).combine_chunks()


def _meta(
    pictures: pa.Table, events: pa.Array, frames: pa.ChunkedArray | None, firsts: npt.NDArray[np.int64]
) -> dict[str, pa.Array]:
    """Returns the meta data of each record, those of its first picture; fields that no record has are left out."""
    columns = {
        "location": pictures["location"],
        "camera": pictures["camera"],
        "event_id": events,
        "datetime": pictures["time"],
    }
    if frames is not None:
        columns["frame"] = frames.cast(pa.string())
    for name in pictures.column_names:
        if name.startswith(META):
            columns[name[len(META) :]] = pictures[name]
    rows = pa.array(firsts)
    taken = {name: column.take(rows) for name, column in columns.items()}
    taken = {name: one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one for name, one in taken.items()}
    return {name: column for name, column in taken.items() if column.null_count < len(column)}


def records_of(grouped: GroupedPictures) -> Iterator[CaptureEvent]:
    """Yields the records, in order; holds some thousands at a time."""
    of_pictures = np.searchsorted(np.asarray(grouped.pictures["record"]), np.arange(len(grouped.ids) + 1))
    of_seen = np.searchsorted(np.asarray(grouped.seen["record"]), np.arange(len(grouped.ids) + 1))
    for start in range(0, len(grouped.ids), SLICE_ROWS):
        stop = min(start + SLICE_ROWS, len(grouped.ids))
        media = [_media(row) for row in _slice(grouped.pictures, of_pictures[start], of_pictures[stop])]
        seen = [_observation(row, grouped.label_types) for row in _slice(grouped.seen, of_seen[start], of_seen[stop])]
        ids = grouped.ids.slice(start, stop - start).to_pylist()
        meta = {name: column.slice(start, stop - start).to_pylist() for name, column in grouped.meta.items()}
        for number, record_id in enumerate(ids):
            row = start + number
            yield CaptureEvent(
                event_id=record_id,
                media=tuple(media[of_pictures[row] - of_pictures[start] : of_pictures[row + 1] - of_pictures[start]]),
                observations=tuple(seen[of_seen[row] - of_seen[start] : of_seen[row + 1] - of_seen[start]]),
                meta_data={name: values[number] for name, values in meta.items() if values[number] is not None},
            )


def _slice(table: pa.Table, start: int, stop: int) -> list[dict[str, Any]]:
    """Returns some rows as dictionaries."""
    return list(table.slice(int(start), int(stop - start)).to_pylist())


def _media(row: dict[str, Any]) -> Media:
    """Returns the picture of a row."""
    return Media(path=row["path"], media_id=row["id"], timestamp=row["time"], licence=row["licence"])


def _observation(row: dict[str, Any], labels: list[str]) -> Observation:
    """Returns the observation of a row."""
    box = None
    if row["x"] == row["x"]:  # NaN is not equal to itself: there is no box
        box = BoundingBox(*(row[name] for name in BOX))
    classes = {label: row[LABEL + label] or MISSING for label in labels}
    sure = row[CONFIDENCE]
    return Observation(
        labels=classes, media_id=row["media_id"], box=box, confidence=sure if sure is not None and sure == sure else None
    )
