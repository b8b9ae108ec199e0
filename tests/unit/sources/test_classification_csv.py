"""The table of a classification data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.records import CaptureEvent, Reject
from camtrap_tf.sources.classification_csv import COLUMNS, ClassificationCsvSource, CropRow, read_rows, write_rows

HEADER = ",".join(COLUMNS) + "\n"


def table(tmp_path: Path, *rows: str) -> Path:
    """Writes a table."""
    path = tmp_path / "t.csv"
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def test_rows_come_back(tmp_path: Path) -> None:
    """Several labels, commas in paths and confidences survive; a confidence of one is written as the other programs do."""
    rows = [
        CropRow(path="a,b.jpg", dataset="d", location="7", dataset_class="x", confidence=0.25, labels=("fox", "rat")),
        CropRow(path="c.jpg", dataset="d", location="hill", dataset_class="x", confidence=1.0, labels=("fox",)),
    ]
    write_rows(tmp_path / "t.csv", rows)
    assert list(read_rows(tmp_path / "t.csv")) == rows
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").splitlines()[2] == "c.jpg,d,hill,x,1,fox"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",d,l,c,1,fox", "no_path"),
        ("../a.jpg,d,l,c,1,fox", "outside_root"),
        ("a.jpg,d,l,c,1,", "no_label"),
        ("a.jpg,d,l,c,1.5,fox", "bad_confidence"),
        ("a.jpg,d,l,c,sure,fox", "bad_confidence"),
        ("a.jpg,d,l", "bad_row"),
    ],
)
def test_bad_rows_are_rejected(row: str, reason: str, tmp_path: Path) -> None:
    """A bad row has its reason and its line, the next one is read."""
    bad, good = read_rows(table(tmp_path, row, "b.jpg,d,l,c,1,fox"))
    assert isinstance(bad, Reject)
    assert (bad.reason, bad.item) == (reason, "line 2")
    assert isinstance(good, CropRow)


def test_other_tables_are_refused(tmp_path: Path) -> None:
    """A table without the columns says which it needs."""
    (tmp_path / "t.csv").write_text("path,label\na,b\n", encoding="utf-8")
    with pytest.raises(SourceError, match="has no column 'dataset'"):
        list(read_rows(tmp_path / "t.csv"))


def test_numbers_are_locations_and_empty_cells_unknown(tmp_path: Path) -> None:
    """`007` stays a text; a missing location has the one name that all files use."""
    rows = list(read_rows(table(tmp_path, "a.jpg,d,007,c,1,fox", "b.jpg,d,,c,,fox")))
    assert [row.location for row in rows if isinstance(row, CropRow)] == ["007", "unknown_location"]


def test_records_say_their_split(tmp_path: Path) -> None:
    """A record per crop, an observation per label, the split by data set and location; repeated paths are rejected."""
    path = table(tmp_path, "a.jpg,d,1,c,1,fox", 'b.jpg,d,2,c,1,"fox,rat"', "a.jpg,d,1,c,1,fox", "c.jpg,e,9,c,1,rat")
    source = ClassificationCsvSource(path, splits={"train": [("d", "1")], "val": [("combined", "2")]}, label="species")
    entries = list(source.records())
    records = [entry for entry in entries if isinstance(entry, CaptureEvent)]
    assert [(one.event_id, one.meta_data["split_name"], len(one.observations)) for one in records] == [
        ("a.jpg", "train", 1),
        ("b.jpg", "val", 2),
        ("c.jpg", "", 1),
    ]
    assert source.read == len(entries) == 4
    assert "1 crops are at locations that no split has" in source.notes[0]
