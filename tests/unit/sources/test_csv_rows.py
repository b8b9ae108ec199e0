"""Rows of CSV files, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.records import Reject
from camtrap_tf.sources.csv_rows import CsvRows


def rows(tmp_path: Path, data: bytes) -> list[object]:
    """Returns the rows of a table, rejects as (item, reason)."""
    (tmp_path / "t.csv").write_bytes(data)
    found = CsvRows(tmp_path / "t.csv").rows()
    return [(row.item, row.reason) if isinstance(row, Reject) else row for row in found]


def test_cells_are_verbatim(tmp_path: Path) -> None:
    """Quotes, commas, line breaks, spaces and characters beyond ASCII come through; line numbers are those of the file."""
    text = '\ufeffid,name\r\n1," a, ""b"" "\r\n2,"two\nlines"\r\n3,Ünï 🦊\r\n'
    assert rows(tmp_path, text.encode()) == [(2, ["1", ' a, "b" ']), (4, ["2", "two\nlines"]), (5, ["3", "Ünï 🦊"])]


def test_ragged_rows_are_rejected_by_number(tmp_path: Path) -> None:
    """Too few or too many cells: rejected; empty cells too many, blank lines: no matter."""
    found = rows(tmp_path, b"id,name\n1,a\n2\n\n3,c,d\n4,e,,\n5,f")
    assert found == [(2, ["1", "a"]), ("line 3", "bad_row"), ("line 5", "bad_row"), (6, ["4", "e"]), (7, ["5", "f"])]


def test_rows_that_are_not_utf8_are_rejected(tmp_path: Path) -> None:
    """One bad byte costs one row."""
    assert rows(tmp_path, b"id,name\n1,\xe4\n2,b\n") == [("line 2", "not_utf8"), (3, ["2", "b"])]


def test_misplaced_quotes_cost_one_row(tmp_path: Path) -> None:
    """Text after a closing quote is rejected, the next row is read."""
    assert rows(tmp_path, b'id,name\n1,"a"b\n2,b\n') == [("line 2", "bad_row"), (3, ["2", "b"])]


def test_an_open_quote_is_an_error(tmp_path: Path) -> None:
    """A quote that swallows the rest of the file is told with its line, whether the rest is short or long."""
    for rest in (b"3,c\n", b"3,c\n" * 50_000):
        with pytest.raises(SourceError, match="line 3: a quote is opened and not closed"):
            rows(tmp_path, b'id,name\n1,a\n2,"b\n' + rest)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "needs a header"),
        (b"\n1,2\n", "needs a header"),
        ("id,name\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04rest", "spreadsheet"),
    ],
)
def test_files_that_are_no_table(tmp_path: Path, data: bytes, message: str) -> None:
    """Empty files, UTF-16 and spreadsheets are recognised."""
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(SourceError, match=message):
        CsvRows(tmp_path / "t.csv")


def test_absent_files_and_folders(tmp_path: Path) -> None:
    """A path that is not a file gives one line."""
    with pytest.raises(SourceError, match="no such CSV table"):
        CsvRows(tmp_path / "t.csv")
    with pytest.raises(SourceError, match="is a folder, no CSV table"):
        CsvRows(tmp_path)


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """An unknown column is answered with the nearest, a wrong separator and a repeated column are named."""
    path = tmp_path / "t.csv"
    path.write_text("capture_id,species,x,x\n")
    table = CsvRows(path)
    assert table.index("species", "--label-fields") == 1
    with pytest.raises(SettingError, match=r"--label-fields: .*'specis'; did you mean 'species'\?"):
        table.index("specis", "--label-fields")
    with pytest.raises(SourceError, match="'x' is there 2 times"):
        table.index("x", "--label-fields")
    path.write_text("id;species\n")
    with pytest.raises(SettingError, match="separated by commas"):
        CsvRows(path).index("id", "--capture-id-field")
