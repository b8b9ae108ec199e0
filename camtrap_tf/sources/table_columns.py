"""CSV tables of the standards as columns of texts: also gzipped, and never lost for one malformed line.

A line that cannot be read is rejected by its number. Where a quote is opened and not closed, only the line that opens it is:
reading goes on with the next one.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from camtrap_tf.errors import SourceError, suggestion
from camtrap_tf.files import printable
from camtrap_tf.records import Reject
from camtrap_tf.sources.csv_rows import table_start

CHUNK_ROWS = 16_384
"""Rows that are held as Python objects at a time."""

MOST_LINES = 200
"""Lines that one quoted cell may go over; beyond, its quote counts as not closed."""

GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class TableColumns:
    """A table.

    Attributes:
        path: where it is.
        lines: `[rows]` number of the line that each row begins on.
        columns: column name → texts, null where a cell is empty.
        rejects: lines that are no rows.
    """

    path: Path
    lines: pa.Array
    columns: dict[str, pa.Array]
    rejects: tuple[Reject, ...]

    def __len__(self) -> int:
        """Returns how many rows there are."""
        return len(self.lines)

    def __contains__(self, name: str) -> bool:
        """Returns whether there is a column of this name."""
        return name in self.columns

    def column(self, *names: str) -> pa.Array:
        """Returns the first of the columns that is there; all null where none is."""
        for name in names:
            if name in self.columns:
                return self.columns[name]
        return pa.nulls(len(self), pa.string())

    def required(self, name: str) -> pa.Array:
        """Returns a column.

        Raises:
            SourceError: it is not there.
        """
        if name not in self.columns:
            known = [printable(one) for one in self.columns]
            raise SourceError(f"{self.path}: has no column {name!r}{suggestion(name, known)}")
        return self.columns[name]

    @property
    def items(self) -> list[str]:
        """How rejects name the rows, e.g. `media.csv line 12`."""
        return [f"{self.path.name} line {line}" for line in self.lines.to_pylist()]


def read_table(path: Path, *, what: str, unit: str, only: Sequence[str] | None = None) -> TableColumns:
    """Reads a comma-separated table with a header, UTF-8, also gzipped.

    Args:
        path: the file.
        what: what it should be, for messages.
        unit: unit of its rejects.
        only: columns to keep; None: all.

    Raises:
        SourceError: it is absent, no such table, or has a column twice.
    """
    try:
        with _open(path, what) as file:
            rows = _rows(file)
            header = next((cells for _, cells in rows if isinstance(cells, list)), [])
            if not any(header):
                raise SourceError(f"{path}: is empty; {what} needs a header line")
            twice = sorted({name for name in header if name and header.count(name) > 1})
            if twice:
                raise SourceError(f"{path}: column {twice[0]!r} is there {header.count(twice[0])} times; rename the others")
            return _columns(path, header, rows, unit, only)
    except (EOFError, gzip.BadGzipFile, zlib.error) as err:
        raise SourceError(f"{path}: cannot be unpacked: {err}; is the file cut off?") from err
    except OSError as err:
        raise SourceError(f"{path}: cannot be read: {err.strerror or err}") from err


def _open(path: Path, what: str) -> IO[str]:
    """Opens a table as text, unpacked; raises a SourceError that says what it is instead."""
    start = table_start(path, f"file ({what})")
    raw = gzip.open(path) if start.startswith(GZIP) else path.open("rb")  # noqa: SIM115  # closed by the text layer above it
    return io.TextIOWrapper(raw, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _rows(file: IO[str]) -> Iterator[tuple[int, list[str] | str]]:
    """Yields line number and cells of each row that is not blank, or what is wrong with that line."""
    waiting: list[str] = []
    number = 0
    while True:
        taken: list[str] = []
        reader = csv.reader(_lines(file, waiting, taken), strict=True)
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as err:
            waiting[:0] = taken[1:]
            number += 1
            yield number, "a quote is opened and not closed" if "unexpected end" in str(err) else str(err)
            continue
        if cells:
            yield number + 1, cells
        number += len(taken)


def _lines(file: IO[str], waiting: list[str], taken: list[str]) -> Iterator[str]:
    """Yields lines, those that wait first; keeps what it yielded in `taken`."""
    while len(taken) < MOST_LINES:
        line = waiting.pop(0) if waiting else file.readline()
        if not line:
            return
        taken.append(line)
        yield line


def _columns(
    path: Path, header: list[str], rows: Iterator[tuple[int, list[str] | str]], unit: str, only: Sequence[str] | None
) -> TableColumns:
    """Returns the rows that fit the header as columns."""
    places = [place for place, name in enumerate(header) if name and (only is None or name in only)]
    lines: list[int] = []
    chunks: dict[int, list[pa.Array]] = {place: [] for place in places}
    rejects: list[Reject] = []
    usable = _usable(rows, len(header), path.name, unit, rejects)
    while chunk := list(itertools.islice(usable, CHUNK_ROWS)):
        lines.extend(line for line, _ in chunk)
        for place in places:
            chunks[place].append(pa.array([cells[place] or None for _, cells in chunk], pa.string()))
    columns = {header[place]: pa.chunked_array(chunks[place], pa.string()).combine_chunks() for place in places}
    return TableColumns(path, pa.array(np.array(lines, np.int64)), columns, tuple(rejects))


def _usable(
    rows: Iterator[tuple[int, list[str] | str]], width: int, name: str, unit: str, rejects: list[Reject]
) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows that fit the header; adds the others to `rejects`."""
    for line, cells in rows:
        problem = cells if isinstance(cells, str) else _problem(cells, width)
        if problem:
            reason = "not_utf8" if "UTF-8" in problem else "bad_row"
            rejects.append(Reject("", f"{name} line {line}", unit, reason, problem))
        else:
            assert isinstance(cells, list)
            yield line, cells


def _problem(cells: list[str], width: int) -> str:
    """Returns what is wrong with a row; empty where nothing is. Empty cells beyond the header are dropped."""
    if len(cells) > width and not any(cells[width:]):
        del cells[width:]
    if len(cells) != width:
        return f"has {len(cells)} cells where the header has {width}"
    text = "".join(cells)
    return "" if text.isascii() or printable(text) == text else "is not UTF-8; save the table as UTF-8"
