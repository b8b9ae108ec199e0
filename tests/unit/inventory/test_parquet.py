"""Parquet inventories made by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.inventory.table import Inventory

GOOD: dict[str, list[Any]] = {"id": ["1"], "images": [["a.jpg"]], "label/s": [["x"]], "label/t": [["y"]]}


def written(tmp_path: Path, **columns: list[Any]) -> Path:
    """Writes a good row and one that differs in some columns."""
    names = {"id": "id", "images": "images", "s": "label/s", "t": "label/t", "event": "event"}
    rows = {**GOOD, "event": [None]}
    other = {names[key]: value for key, value in columns.items()}
    table = {name: [*rows[name], *other.get(name, ["2"] if name == "id" else rows[name])] for name in rows}
    schema = pa.schema([(name, pa.string() if name in ("id", "event") else pa.list_(pa.string())) for name in table])
    pq.write_table(pa.table(table, schema=schema), tmp_path / "i.parquet")
    return tmp_path / "i.parquet"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"id": [""]}, "no_id"),
        ({"id": [None]}, "no_id"),
        ({"id": ["1"]}, "repeated_id"),
        ({"images": [[]]}, "no_picture"),
        ({"images": [None]}, "no_picture"),
        ({"images": [[""]]}, "no_picture"),
        ({"images": [["a.jpg", None]]}, "no_picture"),
        ({"s": [[]], "t": [[]]}, "bad_labels"),
        ({"s": [["x", "x"]]}, "bad_labels"),
        ({"s": [None]}, "bad_labels"),
        ({"s": [[""]]}, "bad_labels"),
        ({"event": ["{"]}, "bad_event"),
        ({"event": ['{"media": []}']}, "bad_event"),
        ({"event": ['{"observations": [{"box": [0, 0, 2, 1]}]}']}, "bad_event"),
    ],
)
def test_rows_that_are_no_records_are_rejected(tmp_path: Path, columns: dict[str, list[Any]], reason: str) -> None:
    """The good row stays, the other is rejected with its row number."""
    inventory = Inventory.read(written(tmp_path, **columns))
    assert inventory.ids == ["1"]
    assert [(reject.item, reject.reason) for reject in inventory.rejects] == [("row 2", reason)]


def test_events_are_spelt_alike(tmp_path: Path) -> None:
    """However others lay out the JSON of `event`, equal facts are equal texts."""
    path = written(tmp_path, event=['{ "observations": [{}],\n "media": [{"timestamp": "2020"}] }'])
    assert Inventory.read(path).table["event"].to_pylist() == [None, '{"media": [{"timestamp": "2020"}]}']


def test_other_text_types_are_taken(tmp_path: Path) -> None:
    """Dictionaries, large texts and a table without `event` read as the plain form does."""
    table = pa.table(
        {
            "id": pa.array(["1"], pa.large_string()),
            "meta/location": pa.array(["hill"]).dictionary_encode(),
            "images": pa.array([["a.jpg"]], pa.large_list(pa.large_string())),
            "label/s": pa.array([["x"]], pa.large_list(pa.string())),
            "something else": pa.array([1.5]),
        }
    )
    pq.write_table(table, tmp_path / "i.parquet")
    inventory = Inventory.read(tmp_path / "i.parquet")
    assert inventory.table.column_names == ["id", "images", "label/s", "meta/location", "event"]
    assert next(iter(inventory)).meta_data == {"location": "hill"}


@pytest.mark.parametrize(
    "columns", [{"id": ["1"]}, {"id": ["1"], "images": [["a"]]}, {"id": ["1"], "images": [["a"]], "label/s": [[12]]}]
)
def test_other_tables_are_no_inventory(tmp_path: Path, columns: dict[str, list[Any]]) -> None:
    """A table that lacks the columns, or has numbers in them, is refused in one line."""
    pq.write_table(pa.table(columns), tmp_path / "i.parquet")
    with pytest.raises(SourceError, match="not an inventory"):
        Inventory.read(tmp_path / "i.parquet")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """Bytes that are not Parquet, and a Parquet file cut off, give one line."""
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="cannot be read as Parquet"):
        Inventory.read(path)
