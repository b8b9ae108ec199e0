"""The inventory as a table: reading, writing, asking."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from camtrap_tf.errors import LabelError, SettingError, SourceError
from camtrap_tf.inventory.table import Inventory
from camtrap_tf.records import BoundingBox, CaptureEvent, Media, Observation
from tests.factories import make_event

FACTS = CaptureEvent(
    event_id="f",
    media=(Media(path="a.jpg", timestamp="2020-01-01T00:00:00"), Media(path="b.jpg", media_id="m2", licence="CC0")),
    observations=(
        Observation(labels={"species": "fox"}, media_id="m2", box=BoundingBox(0.1, 0.2, 1 / 3, 0.4), confidence=1 / 7),
        Observation(labels={"species": "-1"}),
    ),
    meta_data={"location": "hill"},
)


def some_inventory() -> Inventory:
    """Returns three records: texts beyond ASCII, two observations, further facts."""
    return Inventory.from_records(
        [
            make_event("Zürich 🦊", pictures=("ü 1.jpg", "ü 2.jpg"), location="Höhle", note=""),
            make_event("2", labels=[{"species": "a", "count": "11-50"}, {"count": "2"}], sequence="s"),
            FACTS,
        ]
    )


@pytest.mark.parametrize("suffix", ["json", "parquet", "JSON"])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    """JSON and Parquet keep every record, every fact and the digest."""
    inventory = some_inventory()
    inventory.write(tmp_path / f"i.{suffix}")
    again = Inventory.read(tmp_path / f"i.{suffix}")
    assert again.table.equals(inventory.table)
    assert list(again) == list(inventory)
    assert again.digest() == inventory.digest()
    assert again.rejects == ()


def test_json_and_parquet_turn_into_each_other(tmp_path: Path) -> None:
    """JSON → Parquet → JSON gives the same bytes."""
    first, between, last = tmp_path / "a.json", tmp_path / "b.parquet", tmp_path / "c.json"
    some_inventory().write(first)
    Inventory.read(first).write(between)
    Inventory.read(between).write(last)
    assert first.read_bytes() == last.read_bytes()


def test_json_has_the_keys_of_camera_trap_classifier(tmp_path: Path) -> None:
    """A record without further facts has labels, images and meta data; missing labels are "-1"."""
    some_inventory().write(tmp_path / "i.json")
    value = json.loads((tmp_path / "i.json").read_text(encoding="utf-8"))
    assert value["2"] == {
        "labels": [{"count": "11-50", "species": "a"}, {"count": "2", "species": "-1"}],
        "images": ["a.jpg"],
        "meta_data": {"sequence": "s"},
    }
    assert value["f"]["event"] == {
        "media": [{"timestamp": "2020-01-01T00:00:00"}, {"media_id": "m2", "licence": "CC0"}],
        "observations": [{"media_id": "m2", "box": [0.1, 0.2, 1 / 3, 0.4], "confidence": 1 / 7}, {}],
    }


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_plain_leaves_the_event_key_out(tmp_path: Path, suffix: str) -> None:
    """`plain` keeps labels, images and meta data and nothing else."""
    some_inventory().write(tmp_path / f"i.{suffix}", plain=True)
    record = list(Inventory.read(tmp_path / f"i.{suffix}"))[2]
    assert record.media == (Media(path="a.jpg"), Media(path="b.jpg"))
    assert record.observations[0] == Observation(labels={"species": "fox", "count": "-1"})
    assert record.meta_data == {"location": "hill"}


def test_columns_are_in_the_order_of_their_names() -> None:
    """Label types and fields are sorted, so that equal inventories have equal tables."""
    assert some_inventory().table.column_names == [
        "id", "images", "label/count", "label/species", "meta/location", "meta/note", "meta/sequence", "event",
    ]  # fmt: skip


def test_columns_can_be_asked_for() -> None:
    """First labels, meta data, counts and ids agree with the records."""
    inventory = some_inventory()
    assert len(inventory) == 3
    assert inventory.ids == ["Zürich 🦊", "2", "f"]
    assert inventory.label_types == ("count", "species")
    assert inventory.meta_fields == ("location", "note", "sequence")
    assert inventory.first_labels("species") == ["zebra", "a", "fox"]
    assert inventory.first_labels("count") == [None, "11-50", None]
    assert inventory.meta("location") == ["Höhle", None, "hill"]
    assert inventory.meta("note") == ["", None, None]
    assert inventory.observation_counts().tolist() == [1, 2, 2]
    assert inventory.picture_count() == 5
    assert inventory.label_counts() == {"count": {"11-50": 1, "2": 1}, "species": {"a": 1, "fox": 1, "zebra": 1}}


def test_matches_compares_exactly_and_in_any_observation() -> None:
    """`cat` does not match `wildcat`; the second observation counts."""
    records = [
        make_event("1", labels={"species": "wildcat"}),
        make_event("2", labels=[{"species": "dog"}, {"species": "cat"}]),
        make_event("3", labels={"species": "-1"}),
    ]
    inventory = Inventory.from_records(records)
    assert inventory.matches("species", "cat").tolist() == [False, True, False]
    assert inventory.matches("species", "-1").tolist() == [False, False, True]


def test_take_gives_rows_in_the_order_asked_for() -> None:
    """`take` reorders and repeats nothing else; asking the result works as before."""
    inventory = some_inventory()
    some = inventory.take(np.array([2, 0]))
    assert list(some) == [list(inventory)[row] for row in (2, 0)]
    assert some.first_labels("species") == ["fox", "zebra"]
    assert some.matches("species", "zebra").tolist() == [False, True]
    assert some.label_counts()["species"] == {"fox": 1, "zebra": 1}
    assert inventory.take([]).ids == []


def test_digest_tells_contents_apart_and_not_chunks() -> None:
    """Another class, order or cell border gives another digest; another chunking does not."""
    records = [make_event(str(i), labels={"species": "a" * (i % 3 + 1)}) for i in range(20)]
    inventory = Inventory.from_records(records)
    assert Inventory(inventory.table.take(list(range(20)))).digest() == inventory.digest()
    pieces = [inventory.table.slice(i, 7) for i in range(0, 20, 7)]
    assert Inventory(pa.concat_tables(pieces)).digest() == inventory.digest()
    assert inventory.take(range(19, -1, -1)).digest() != inventory.digest()
    one, other = make_event("1", pictures=("ab", "c")), make_event("1", pictures=("a", "bc"))
    assert Inventory.from_records([one]).digest() != Inventory.from_records([other]).digest()
    absent, empty = make_event("1", location="x"), make_event("1", location="x", note="")
    assert Inventory.from_records([absent]).digest() != Inventory.from_records([empty]).digest()


def test_a_label_that_comes_late_is_missing_before() -> None:
    """Label types and fields found in a later chunk are missing in the earlier ones."""
    count = 17_000
    records = (make_event(str(i), labels=[{"a": "x"}] * (1 + i % 2) if i < count - 1 else {"b": "y"}) for i in range(count))
    inventory = Inventory.from_records(records)
    assert inventory.first_labels("b") == [None] * (count - 1) + ["y"]
    assert inventory.label_counts() == {"a": {"x": count - 1 + count // 2 - 1}, "b": {"y": 1}}


def test_unknown_names_are_answered_with_the_nearest() -> None:
    """A label type or field that is not there: an error that names the one that is."""
    with pytest.raises(LabelError, match="did you mean 'species'"):
        some_inventory().first_labels("specie")
    with pytest.raises(SettingError, match="did you mean 'location'"):
        some_inventory().meta("locations")


def test_records_need_ids_of_their_own() -> None:
    """Two records of one id are refused, by name."""
    with pytest.raises(SourceError, match="'twin'"):
        Inventory.from_records([make_event("twin"), make_event("other"), make_event("twin")])


def test_an_inventory_is_never_empty() -> None:
    """No record, or no label at all, is refused."""
    with pytest.raises(SourceError, match="at least one record"):
        Inventory.from_records([])
    with pytest.raises(SourceError, match="no record has a label"):
        Inventory.from_records([make_event(labels={})])


def test_half_a_surrogate_is_refused() -> None:
    """Text that is no Unicode cannot be stored."""
    with pytest.raises(SourceError, match="surrogate"):
        Inventory.from_records([make_event("\ud800")])


def test_files_that_are_no_inventory(tmp_path: Path) -> None:
    """Absent files and other suffixes are told in one line."""
    with pytest.raises(SourceError, match="no such inventory"):
        Inventory.read(tmp_path / "none.json")
    with pytest.raises(SourceError, match="no such inventory"):
        Inventory.read(tmp_path / "none.parquet")
    with pytest.raises(SettingError, match=r"\.json or \.parquet"):
        Inventory.read(tmp_path / "i.csv")
    with pytest.raises(SettingError, match=r"\.json or \.parquet"):
        some_inventory().write(tmp_path / "i.txt")
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(SourceError, match="no usable record"):
        Inventory.read(tmp_path / "empty.json")


def test_rejected_entries_are_kept_with_their_reason(tmp_path: Path) -> None:
    """What is no record stays known to the one who reads."""
    good = {"labels": [{"s": "a"}], "images": ["x"]}
    (tmp_path / "i.json").write_text(json.dumps({"1": good, "2": {"labels": [{"s": 12}], "images": ["x"]}}))
    inventory = Inventory.read(tmp_path / "i.json")
    assert inventory.ids == ["1"]
    assert [(reject.id, reject.reason) for reject in inventory.rejects] == [("2", "bad_labels")]
