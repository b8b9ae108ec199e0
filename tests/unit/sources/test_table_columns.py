"""CSV tables of the standards."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.sources.table_columns import TableColumns, read_table


def read(tmp_path: Path, text: str | bytes) -> TableColumns:
    """Returns a table with this text."""
    (tmp_path / "t.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(tmp_path / "t.csv", what="the table", unit="picture")


def test_rows_and_lines(tmp_path: Path) -> None:
    """Cells are texts or null; lines are counted as an editor counts them, also below cells of several lines."""
    table = read(tmp_path, '\ufeffa,b\n1,\n\n"x\ny",2\nü,"q""q"\n')
    assert table.lines.to_pylist() == [2, 4, 6]
    assert table.columns["a"].to_pylist() == ["1", "x\ny", "ü"]
    assert table.columns["b"].to_pylist() == [None, "2", 'q"q']
    assert table.items[1] == "t.csv line 4"
    assert table.rejects == ()
    assert table.column("c", "b").to_pylist() == [None, "2", 'q"q']
    assert table.column("c").null_count == 3


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("1,2,3", "3 cells"),
        ("1", "1 cells"),
        ('"1,2', "not closed"),
        ('1,"2', "not closed"),
        ('"1"x,2', "expected after"),
        ("1,\udcff", "UTF-8"),
    ],
)
def test_a_malformed_line_is_rejected_by_number(tmp_path: Path, bad: str, said: str) -> None:
    """Only that line is lost, also where its quote is never closed, or closed by a later line."""
    text = f"a,b\n0,0\n{bad}\n5,6\n7,8\n"
    table = read(tmp_path, text.encode("utf-8", "surrogateescape"))
    assert table.lines.to_pylist() == [2, 4, 5]
    assert table.columns["b"].to_pylist() == ["0", "6", "8"]
    (reject,) = table.rejects
    assert (reject.item, reject.unit) == ("t.csv line 3", "picture")
    assert said in reject.detail


def test_an_open_quote_does_not_swallow_the_lines_below(tmp_path: Path) -> None:
    """Two of them far apart cost two lines, not all in between."""
    rows = [f"{number},x" for number in range(600)]
    rows[10], rows[500] = '"10,x', '"500,x'
    table = read(tmp_path, "a,b\n" + "\n".join(rows) + "\n")
    assert len(table) == 598
    assert [reject.item for reject in table.rejects] == ["t.csv line 12", "t.csv line 502"]


def test_gzip(tmp_path: Path) -> None:
    """A gzipped table is read like any other; a cut one is told."""
    packed = gzip.compress(b"a,b\n1,2\n")
    assert read(tmp_path, packed).columns["a"].to_pylist() == ["1"]
    with pytest.raises(SourceError, match="cut off"):
        read(tmp_path, packed[:-9])


@pytest.mark.parametrize(
    ("text", "message"),
    [(b"", "empty"), (b"a,a\n", "2 times"), (b"\xff\xfea", "UTF-16"), (b"PK\x03\x04", "zip"), (b"\n\n", "empty")],
)
def test_what_is_no_table(tmp_path: Path, text: bytes, message: str) -> None:
    """It is told what the file is instead."""
    with pytest.raises(SourceError, match=message):
        read(tmp_path, text)
    with pytest.raises(SourceError, match="no such file"):
        read_table(tmp_path / "absent.csv", what="the table", unit="picture")


def test_absent_columns_are_told(tmp_path: Path) -> None:
    """The nearest name is named."""
    with pytest.raises(SourceError, match="did you mean 'mediaID'"):
        read(tmp_path, "mediaID,b\n1,2\n").required("mediaId")
