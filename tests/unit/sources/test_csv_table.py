"""CSV tables as records."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.errors import SettingError
from camtrap_tf.records import CaptureEvent, Reject
from camtrap_tf.sources import csv_table
from camtrap_tf.sources.csv_table import CsvColumns, CsvSource, merge_agreeing

HEADER = "id,image,image_2,species,count,place\n"


def source(tmp_path: Path, rows: str, **options: Any) -> CsvSource:
    """Returns the source of a table with the columns of `HEADER`."""
    (tmp_path / "t.csv").write_text(HEADER + rows, encoding="utf-8")
    columns = {"id": "id", "images": ("image", "image_2"), "labels": ("species", "count"), "meta": ("place",), **options}
    return CsvSource(tmp_path / "t.csv", CsvColumns(**columns))


def read(tmp_path: Path, rows: str, **options: Any) -> tuple[list[CaptureEvent], list[Reject]]:
    """Returns records and rejects of a table."""
    entries = list(source(tmp_path, rows, **options).records())
    return [one for one in entries if isinstance(one, CaptureEvent)], [one for one in entries if isinstance(one, Reject)]


def facts(record: CaptureEvent) -> tuple[Any, ...]:
    """Returns a record as plain values: id, pictures, observations, meta data."""
    observations = [tuple(one.labels.values()) for one in record.observations]
    return record.event_id, [media.path for media in record.media], observations, dict(record.meta_data)


def test_a_row_is_a_record(tmp_path: Path) -> None:
    """Pictures are in the order of the fields, empty cells are skipped, empty labels are missing, meta data are verbatim."""
    records, rejects = read(tmp_path, "1,a.jpg,b.jpg,zebra,2,hill\n2,,c.jpg, ,-1,\n")
    assert [facts(record) for record in records] == [
        ("1", ["a.jpg", "b.jpg"], [("zebra", "2")], {"place": "hill"}),
        ("2", ["c.jpg"], [(" ", "-1")], {"place": ""}),
    ]
    assert rejects == []


def test_rows_of_one_id_are_observations(tmp_path: Path) -> None:
    """Observations are put together in row order, equal ones once, and no picture is lost; rows may lie apart."""
    rows = "1,a,,zebra,2,hill\n2,x,,lion,1,hill\n1,a,b,gnu,1,\n1,c,,zebra,2,\n"
    records, rejects = read(tmp_path, rows)
    assert [facts(record) for record in records] == [
        ("1", ["a", "b", "c"], [("zebra", "2"), ("gnu", "1")], {"place": "hill"}),
        ("2", ["x"], [("lion", "1")], {"place": "hill"}),
    ]
    assert rejects == []


def test_rows_of_one_id_are_images(tmp_path: Path) -> None:
    """Rows that agree, or of which one misses a label, are one observation of several pictures."""
    rows = "1,a,,zebra,,hill\n1,b,,zebra,2,hill\n1,c,,,2,hill\n2,x,,lion,1,\n2,y,,gnu,1,\n"
    records, _ = read(tmp_path, rows, rows_are="images")
    assert [facts(record)[:3] for record in records] == [
        ("1", ["a", "b", "c"], [("zebra", "2")]),
        ("2", ["x", "y"], [("lion", "1"), ("gnu", "1")]),
    ]


def test_rows_without_picture(tmp_path: Path) -> None:
    """As an observation a row may lack a picture if another row of its id has one; as a picture it may not."""
    rows = "1,a,,zebra,1,\n1,,,gnu,1,\n2,,,lion,1,\n2,,,lion,2,\n"
    records, rejects = read(tmp_path, rows)
    assert [facts(record)[2] for record in records] == [[("zebra", "1"), ("gnu", "1")]]
    assert [(one.id, one.item, one.reason) for one in rejects] == [("2", "line 4", "no_picture"), ("2", "line 5", "no_picture")]
    records, rejects = read(tmp_path, rows, rows_are="images")
    assert [facts(record)[2] for record in records] == [[("zebra", "1")]]
    assert [one.item for one in rejects] == ["line 3", "line 4", "line 5"]


def test_rows_without_id_are_rejected(tmp_path: Path) -> None:
    """An empty id is no id."""
    records, rejects = read(tmp_path, ",a,,zebra,1,\n0,b,,zebra,1,\n")
    assert [record.event_id for record in records] == ["0"]
    assert [(one.item, one.reason) for one in rejects] == [("line 2", "no_id")]


def test_missing_tokens_are_set_by_the_user(tmp_path: Path) -> None:
    """Tokens given count as missing; an empty cell and -1 always do; NA is a class unless named."""
    records, _ = read(tmp_path, "1,a,,NA,unknown,\n")
    assert facts(records[0])[2] == [("NA", "unknown")]
    records, _ = read(tmp_path, "1,a,,NA,unknown,\n2,a,,,-1,\n", missing_tokens=("NA", "unknown"))
    assert [facts(record)[2] for record in records] == [[("-1", "-1")], [("-1", "-1")]]


def test_count_fields_are_binned_before_rows_are_compared(tmp_path: Path) -> None:
    """12 and 30 animals are one class, so such rows are one observation; a missing count stays missing."""
    records, _ = read(tmp_path, "1,a,,gnu,12,\n1,a,,gnu,30,\n2,b,,gnu,,\n", counts=("count",))
    assert [facts(record)[2] for record in records] == [[("gnu", "11-50")], [("gnu", "-1")]]


def test_a_column_may_have_two_roles(tmp_path: Path) -> None:
    """The id may be the picture path, and a label meta data too."""
    records, _ = read(tmp_path, "a.jpg,,,zebra,1,\n", images=("id",), meta=("species",))
    assert facts(records[0]) == ("a.jpg", ["a.jpg"], [("zebra", "1")], {"species": "zebra"})


def test_differing_meta_data_are_noted(tmp_path: Path) -> None:
    """The first value that is not empty is kept, and the log says how often others were there."""
    table = source(tmp_path, "1,a,,zebra,1,\n1,b,,zebra,1,hill\n1,c,,zebra,1,lake\n", rows_are="images")
    record = next(table.records())
    assert isinstance(record, CaptureEvent)
    assert record.meta_data == {"place": "hill"}
    list(table.records())
    assert any("differ in 'place'" in note for note in table.notes)


def test_wrong_columns_are_found_at_once(tmp_path: Path) -> None:
    """An unknown column, or a count field that is no label, is an error before a row is read."""
    with pytest.raises(SettingError, match=r"--meta-data-fields.*did you mean 'place'"):
        source(tmp_path, "", meta=("plaace",))
    with pytest.raises(SettingError, match="--count-fields: 'place' is not among the --label-fields"):
        source(tmp_path, "", counts=("place",))


def test_scattered_rows_give_the_records_of_sorted_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However rows of many ids are shuffled over chunks, every picture and observation of an id is in its record."""
    monkeypatch.setattr(csv_table, "CHUNK_ROWS", 7)
    lines = [f"e{i % 23},{i}.jpg,,s{i % 5},{i},p{i % 23}\n" for i in range(200)]
    random.Random(1).shuffle(lines)
    records, rejects = read(tmp_path, "".join(lines))
    expected: dict[str, list[list[str]]] = {}
    for line in lines:
        expected.setdefault(line.split(",")[0], []).append(line.rstrip("\n").split(","))
    assert [record.event_id for record in records] == list(expected)
    assert rejects == []
    for record in records:
        cells = expected[record.event_id]
        assert [media.path for media in record.media] == [row[1] for row in cells]
        assert [tuple(one.labels.values()) for one in record.observations] == [(row[3], row[4]) for row in cells]


def test_every_row_is_used_or_rejected(tmp_path: Path) -> None:
    """Rows read = rows in records + rejects."""
    table = source(tmp_path, "1,a,,x,1,\n1,b,,x,1,\n,c,,x,1,\n2,,,x,1,\nbroken\n3,d,,x,1,\n")
    entries = list(table.records())
    rejects = [one for one in entries if isinstance(one, Reject)]
    assert table.read == 6
    assert len(rejects) == 3
    assert [one.event_id for one in entries if isinstance(one, CaptureEvent)] == ["1", "3"]


def test_merging_fills_what_is_missing() -> None:
    """Contradictions stay apart; what is missing agrees with the first that fits."""
    merged = merge_agreeing([{"a": "1", "b": "-1"}, {"a": "2", "b": "x"}, {"a": "-1", "b": "y"}, {"a": "1", "b": "y"}])
    assert merged == [{"a": "1", "b": "y"}, {"a": "2", "b": "x"}]
