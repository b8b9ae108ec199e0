"""CSV tables: rows that share an id become one record, wherever in the file they are.

The cells are held in columns (Arrow), never as a Python object per row, so that tables of millions of rows fit in memory.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from camtrap_tf.config.names import MISSING_TOKENS, RowsAre
from camtrap_tf.errors import SettingError, counted, suggestion
from camtrap_tf.progress import track
from camtrap_tf.records import MISSING, CaptureEvent, Media, Observation, Reject
from camtrap_tf.sources.counts import bin_count
from camtrap_tf.sources.csv_rows import CsvRows, positions

CHUNK_ROWS = 16_384
POOL = pa.system_memory_pool()
"""Many small arrays fragment Arrow's default pool: measured, a million rows took 190 MB more in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvColumns:
    """What the columns of a table mean.

    Attributes:
        id: column with the id of the record.
        images: columns with picture paths, in time order; empty cells are skipped.
        labels: label columns.
        meta: columns to keep as meta data.
        counts: label columns to bin as counts.
        missing_tokens: label cells that mean: missing. An empty cell and "-1" always do.
        rows_are: `observations`: rows of one id are observations of the same pictures. `images`: they are pictures of
            one observation; where their labels contradict each other, of several.
        listed_by: label that decides whether an observation is listed already; without it all labels do.
    """

    id: str
    images: Sequence[str]
    labels: Sequence[str]
    meta: Sequence[str] = ()
    counts: Sequence[str] = ()
    missing_tokens: Sequence[str] = MISSING_TOKENS
    rows_are: RowsAre = "observations"
    listed_by: str | None = None


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    images: list[str]
    labels: dict[str, str]
    meta: list[str]


class CsvSource:
    """Reads records from a CSV table.

    Attributes:
        read: rows seen so far.
        notes: sentences for the log, complete once `records` is exhausted.
    """

    unit = "rows"

    def __init__(self, path: Path, columns: CsvColumns) -> None:
        """Checks the header.

        Raises:
            SourceError: the file cannot be read as CSV.
            SettingError: a column does not exist, or is named in two roles that exclude each other.
        """
        self.columns = columns
        self.read = 0
        self.notes: list[str] = []
        self._table = CsvRows(path)
        for name in columns.counts:
            if name not in columns.labels:
                raise SettingError(
                    f"--count-fields: {name!r} is not among the --label-fields{suggestion(name, columns.labels)}"
                )
        parts = (
            ([columns.id], "--capture-id-field"),
            (columns.images, "--image-fields"),
            (columns.labels, "--label-fields"),
            (columns.meta, "--meta-data-fields"),
        )
        self._positions = [position for names, flag in parts for position in positions(self._table, names, flag)]
        self._missing = {*columns.missing_tokens, "", MISSING}

    def records(self) -> Iterator[CaptureEvent | Reject]:
        """Yields a record per id, in the order in which the ids first appear, and every row that is in none.

        Raises:
            SourceError: the table ends inside a quote.
        """
        rejects: list[Reject] = []
        table = self._read(rejects)
        yield from rejects
        differing: collections.Counter[str] = collections.Counter()
        merged = 0
        for record_id, rows in _grouped(table):
            merged += len(rows) > 1
            yield from self._record(record_id, [self._row(*row) for row in rows], differing)
        if merged:
            self.notes.append(f"{counted(merged, 'record')} made of several rows")
        for what, count in differing.items():
            self.notes.append(f"{counted(count, 'record')} with rows that differ in {what}")

    def _read(self, rejects: list[Reject]) -> pa.Table:
        """Returns the columns that are needed: `line`, then texts named by position."""
        names = [str(i) for i in range(len(self._positions))]
        schema = pa.schema([("line", pa.int64()), *((name, pa.string()) for name in names)])
        chunks = []
        rows = self._usable(rejects)
        while chunk := list(itertools.islice(rows, CHUNK_ROWS)):
            lines = pa.array([line for line, _ in chunk], pa.int64())
            cells = [pa.array([row[i] for _, row in chunk], pa.string(), memory_pool=POOL) for i in self._positions]
            chunks.append(pa.record_batch([lines, *cells], schema=schema))
        return pa.Table.from_batches(chunks, schema=schema)

    def _usable(self, rejects: list[Reject]) -> Iterator[tuple[int, list[str]]]:
        id_position = self._positions[0]
        for row in track(self._table.rows(), total=None, description="Reading", unit="rows"):
            self.read += 1
            if isinstance(row, Reject):
                rejects.append(row)
            elif not row[1][id_position]:
                rejects.append(Reject("", f"line {row[0]}", "record", "no_id", f"{self.columns.id!r} is empty"))
            else:
                yield row

    def _row(self, line: int, cells: Sequence[str]) -> _Row:
        first_label = len(self.columns.images)
        first_meta = first_label + len(self.columns.labels)
        labels = zip(self.columns.labels, cells[first_label:first_meta], strict=True)
        return _Row(
            line,
            [cell for cell in cells[:first_label] if cell],
            {label: self._class(label, cell) for label, cell in labels},
            list(cells[first_meta:]),
        )

    def _class(self, label: str, cell: str) -> str:
        if cell in self._missing:
            return MISSING
        return bin_count(cell) if label in self.columns.counts else cell

    def _record(self, record_id: str, rows: list[_Row], differing: collections.Counter[str]) -> Iterator[CaptureEvent | Reject]:
        by_picture = self.columns.rows_are == "images"
        usable = [row for row in rows if row.images] if by_picture else rows
        if not any(row.images for row in usable):
            usable = []
        used = {row.line for row in usable}
        for row in rows:
            if row.line not in used:
                fields = ", ".join(self.columns.images)
                yield Reject(record_id, f"line {row.line}", "record", "no_picture", f"no picture in {fields}")
        if not usable:
            return
        observations = self._observations([row.labels for row in usable])
        if by_picture and len(observations) > 1:
            differing["labels; each of their answers is an observation"] += 1
        yield CaptureEvent(
            event_id=record_id,
            media=tuple(Media(path=path) for path in dict.fromkeys(path for row in usable for path in row.images)),
            observations=tuple(Observation(labels=one) for one in observations),
            meta_data=self._meta_data([row.meta for row in usable], differing),
        )

    def _observations(self, labels: list[dict[str, str]]) -> list[dict[str, str]]:
        """Returns the distinct observations of a record's rows, in row order."""
        if self.columns.rows_are == "images":
            return merge_agreeing(labels)
        listed: dict[object, dict[str, str]] = {}
        for one in labels:
            listed.setdefault(one[self.columns.listed_by] if self.columns.listed_by else tuple(one.values()), one)
        return list(listed.values())

    def _meta_data(self, rows: list[list[str]], differing: collections.Counter[str]) -> dict[str, str]:
        """Returns the first value of each field that is not empty."""
        if len(rows) == 1:
            return dict(zip(self.columns.meta, rows[0], strict=True))
        values = {}
        for field, cells in zip(self.columns.meta, zip(*rows, strict=True), strict=True):
            found = dict.fromkeys(cell for cell in cells if cell)
            values[field] = next(iter(found), "")
            if len(found) > 1:
                differing[f"{field!r}; the first is kept"] += 1
        return values


def merge_agreeing(labels: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Puts observations together that do not contradict each other: a missing label agrees with every class."""
    merged: list[dict[str, str]] = []
    for one in labels:
        for earlier in merged:
            if all(one[label] == name or MISSING in (one[label], name) for label, name in earlier.items()):
                earlier.update({label: name for label, name in one.items() if name != MISSING})
                break
        else:
            merged.append(dict(one))
    return merged


def _grouped(table: pa.Table) -> Iterator[tuple[str, list[tuple[int, Sequence[str]]]]]:
    """Yields each id with its rows: line number and the cells after the id. Ids come in the order of their first rows."""
    if not len(table):
        return
    codes = np.concatenate([chunk.indices for chunk in table["0"].dictionary_encode().chunks])
    order = None if codes.max() + 1 == len(codes) else np.argsort(codes, kind="stable")
    for _, rows in itertools.groupby(_in_order(table, codes, order), key=lambda row: row[0]):
        members = [(line, cells) for _, line, cells in rows]
        yield members[0][1][0], [(line, cells[1:]) for line, cells in members]


def _in_order(table: pa.Table, codes: np.ndarray, order: np.ndarray | None) -> Iterator[tuple[int, int, tuple[str, ...]]]:
    for start in range(0, len(table), CHUNK_ROWS):
        if order is None:
            chunk, chosen = table.slice(start, CHUNK_ROWS), codes[start : start + CHUNK_ROWS]
        else:
            rows = order[start : start + CHUNK_ROWS]
            chunk, chosen = table.take(pa.array(rows)), codes[rows]
        columns = [column.to_pylist() for column in chunk.columns]
        yield from zip(chosen.tolist(), columns[0], zip(*columns[1:], strict=True), strict=True)
