"""Rows of a CSV file as plain texts: header checked, each row with its line number, unusable rows with a reason."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from camtrap_tf.errors import SettingError, SourceError, suggestion
from camtrap_tf.files import path_hint, printable, unreadable
from camtrap_tf.records import Reject

Row = tuple[int, list[str]]
"""Number of the (last) line of a row, and its cells."""


class CsvRows:
    """Reads a comma-separated table with a header; RFC 4180 quoting, UTF-8 with or without byte order mark.

    Attributes:
        header: column names.
    """

    def __init__(self, path: Path) -> None:
        """Reads the header.

        Raises:
            SourceError: the file is absent, empty or no such table.
        """
        self.path = path
        self.header: list[str] = []
        table_start(path)
        with self._open() as file:
            try:
                self.header = next(csv.reader(file, strict=True), [])
            except csv.Error as err:
                raise SourceError(f"{path}: cannot read the header: {err}") from err
        if not any(self.header):
            raise SourceError(f"{path}: is empty; a CSV table needs a header line")

    def _open(self) -> IO[str]:
        return self.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")

    def index(self, column: str, flag: str) -> int:
        """Returns the position of a column.

        Args:
            column: its name.
            flag: the flag that names it, for messages.

        Raises:
            SettingError: no such column.
            SourceError: it is there twice.
        """
        if column not in self.header:
            hint = suggestion(column, [printable(name) for name in self.header if name])
            if len(self.header) == 1 and any(mark in self.header[0] for mark in ";\t|"):
                hint = "; its columns do not seem to be separated by commas; save it so"
            raise SettingError(f"{flag}: {self.path} has no column {column!r}{hint}")
        if self.header.count(column) > 1:
            raise SourceError(f"{self.path}: column {column!r} is there {self.header.count(column)} times; rename the others")
        return self.header.index(column)

    def rows(self) -> Iterator[Row | Reject]:
        """Yields every row below the header that is not blank.

        Raises:
            SourceError: a quote is opened and never closed.
        """
        with self._open() as file:
            reader = csv.reader(file, strict=True)
            next(reader)
            while True:
                start = reader.line_num + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as err:
                    if "unexpected end" in str(err) or "field limit" in str(err):
                        raise SourceError(
                            f"{self.path}: line {start}: a quote is opened and not closed; mend that line"
                        ) from err
                    yield Reject("", f"line {start}", "record", "bad_row", f"cannot be read as CSV: {err}")
                    continue
                if cells:
                    yield self._checked(reader.line_num, cells)

    def _checked(self, line: int, cells: list[str]) -> Row | Reject:
        width = len(self.header)
        if len(cells) > width and not any(cells[width:]):
            del cells[width:]
        if len(cells) != width:
            detail = f"has {len(cells)} cells where the header has {width}"
            return Reject("", f"line {line}", "record", "bad_row", detail)
        text = "".join(cells)
        if not text.isascii() and not _is_utf8(text):
            return Reject("", f"line {line}", "record", "not_utf8", "is not UTF-8; save the table as UTF-8")
        return line, cells


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def table_start(path: Path, what: str = "CSV table") -> bytes:
    """Returns the first bytes of a table, by which files that are none are recognised.

    Raises:
        SourceError: there is no such file, or it is of a form that is no CSV table; says what it is instead.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError as err:
        raise SourceError(f"{path}: no such {what}{path_hint(path)}") from err
    except OSError as err:
        raise SourceError(f"{path}: {unreadable(err, what)}") from err
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SourceError(f"{path}: is UTF-16; save it as UTF-8")
    if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise SourceError(f"{path}: is a spreadsheet or zip file, not CSV; unpack it or save it as CSV (UTF-8)")
    return start


def positions(table: CsvRows, columns: Sequence[str], flag: str) -> list[int]:
    """Returns the positions of several columns; raises as `CsvRows.index` does."""
    return [table.index(column, flag) for column in columns]
