"""CSV exports of Timelapse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.config.picture_sources import TimelapseInventoryConfig
from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.sources.timelapse import TimelapseSource, label_types_for
from tests.unit.sources.picture_sources import read

HEADER = "RootFolder,File,RelativePath,DateTime,DeleteFlag,Species,Count,Note\n"


def source(folder: Path, rows: str, header: str = HEADER, **options: Any) -> TimelapseSource:
    """Returns the source of a table with these rows."""
    (folder / "t.csv").write_text(header + rows)
    return TimelapseSource(TimelapseInventoryConfig(path=folder / "t.csv", export_path=folder / "o.json", **options))


def test_rows_are_pictures(tmp_path: Path) -> None:
    """The path is put together, the first folder is the location, events are made from times; rows may be duplicated."""
    rows = (
        "root,1.JPG,S1\\cam,2020-05-30 10:00:00,false,fox,12,x\n"
        "root,1.JPG,S1\\cam,2020-05-30 10:00:00,false,owl,1,x\n"
        "root,2.JPG,S1\\cam,2020-05-30 10:00:30,false,,,y\n"
    )
    (first, second), rejects = read(source(tmp_path, rows, meta_data_fields=("Note",)))
    assert rejects == []
    assert first.media[0].path == "S1/cam/1.JPG"
    assert [dict(one.labels) for one in first.observations] == [
        {"species": "fox", "count": "11-50"},
        {"species": "owl", "count": "1"},
    ]
    assert dict(second.observations[0].labels) == {"species": "-1", "count": "-1"}
    meta = {"location": "S1", "datetime": "2020-05-30T10:00:30", "event_id": "S1 2020-05-30T10:00:00", "Note": "y"}
    assert dict(second.meta_data) == meta


def test_label_types_are_those_of_other_sources(tmp_path: Path) -> None:
    """The standard ones, whichever way they are named, which is said; a flag keeps the columns' spelling."""
    row = "r,1.JPG,S1,,false,fox,1,x\n"
    for options in ({}, {"label_fields": ("Species", "Count", "Note")}):
        found = source(tmp_path, row, **options)
        (record,), _ = read(found)
        assert {"species", "count"} <= set(record.observations[0].labels) <= {"species", "count", "Note"}
        assert any("Species is species, Count is count (--keep-label-names" in note for note in found.notes)
    found = source(tmp_path, row, keep_label_names=True)
    (record,), _ = read(found)
    assert set(record.observations[0].labels) == {"Species", "Count"}
    assert not any("keep-label-names" in note for note in found.notes)


def test_two_columns_never_become_one_label() -> None:
    """A spelling that is taken, by a column or by one before, leaves a column its own."""
    assert label_types_for(["Species", "species", "SPECIES"]) == ["Species", "species", "SPECIES"]
    assert label_types_for(["Sex", "SEX", "LifeStage", "Tier"]) == ["sex", "SEX", "lifeStage", "Tier"]


def test_bad_rows_are_rejected_by_line(tmp_path: Path) -> None:
    """Pictures marked for deletion, rows without a file, videos and malformed lines are told apart."""
    rows = "r,1.JPG,S1,,false,fox,1,\nr,2.JPG,S1,,True,fox,1,\nr,,S1,,false,fox,1,\nr,3.AVI,S1,,false,fox,1,\nshort\n"
    records, rejects = read(source(tmp_path, rows))
    assert [one.event_id for one in records] == ["S1/1.JPG"]
    assert {(one.item, one.reason) for one in rejects} == {
        ("t.csv line 3", "marked_for_deletion"), ("t.csv line 4", "no_path"), ("t.csv line 5", "video"),
        ("t.csv line 6", "bad_row"),
    }  # fmt: skip


def test_older_exports(tmp_path: Path) -> None:
    """Date and time in columns of their own, no RelativePath; label columns by name."""
    header = "File,Date,Time,Tier\n"
    found = source(tmp_path, "1.JPG,30-May-2020,10:00:00,fuchs\n", header, label_fields=("Tier",))
    (record,), _ = read(found)
    assert (record.media[0].path, record.meta_data["datetime"]) == ("1.JPG", "2020-05-30T10:00:00")
    assert dict(record.observations[0].labels) == {"Tier": "fuchs"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_fields": ("Specie",)}, "did you mean 'Species'"),
        ({"count_fields": ("Note",)}, "--count-fields"),
        ({"meta_data_fields": ("Nope",)}, "--meta-data-fields"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    """They are told by flag, with the nearest name."""
    with pytest.raises(SettingError, match=message):
        read(source(tmp_path, "r,1.JPG,S1,,false,fox,1,\n", **options))


def test_other_tables(tmp_path: Path) -> None:
    """A table without the columns of Timelapse, or without labels, is told."""
    with pytest.raises(SettingError, match="--label-fields"):
        read(source(tmp_path, "1.JPG,x\n", "File,Tier\n"))
    with pytest.raises(SourceError, match="'File'"):
        read(source(tmp_path, "x\n", "species\n"))
