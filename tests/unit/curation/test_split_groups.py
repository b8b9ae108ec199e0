"""Groups and classes of records."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.curation.split_groups import (
    class_rows,
    few_places,
    group_table,
    groups_of,
    records_showing,
    refuse_several_labels,
    spread_labels,
    unique_pairs,
)
from camtrap_tf.errors import LabelError, SettingError
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event

INVENTORY = Inventory.from_records(
    [
        make_event("1", labels={"species": "zebra", "count": "2"}, location="b", seq="s1"),
        make_event("2", labels=[{"species": "zebra"}, {"species": "lion"}, {"species": "lion"}], location="a", seq="s2"),
        make_event("3", labels={"species": "-1", "count": "-1"}, location="b", seq="s1"),
        make_event("4", labels={"species": "lion", "count": "2"}, seq="s3"),
        make_event("5", labels={"species": "gnu"}, seq="s3"),
        make_event("6", labels={"species": "gnu", "count": "9"}),
    ]
)


def test_a_record_without_location_goes_with_its_event_or_by_itself() -> None:
    """And it is counted."""
    groups = groups_of(INVENTORY, "location", then="seq")
    assert [groups.names[group] for group in groups.of_record] == ["b", "a", "b", "event s3", "event s3", "record 6"]
    assert groups.by_itself == 3
    assert groups.sizes[groups.names.index("b")] == 2
    assert [name for name, lone in zip(groups.names, groups.lone, strict=True) if lone] == ["record 6"]
    assert len(groups_of(INVENTORY, None).names) == 6


def test_joined_groups_are_named_after_the_first() -> None:
    """A record by itself that is tied to another one is not by itself any more."""
    groups = groups_of(INVENTORY, "location", then="seq")
    assert groups.names == ("a", "b", "event s3", "record 6")
    joined = groups.joined(np.asarray([0, 1, 0, 2]))
    assert joined.names == ("a", "b", "record 6")
    assert joined.of_record.tolist() == [1, 0, 1, 0, 0, 2]
    assert joined.lone.tolist() == [False, False, True]
    assert not groups.joined(np.asarray([0, 1, 2, 0])).lone.any()


def test_classes_of_all_observations_count_once_per_record() -> None:
    """Missing ones do not count, and records without any class are a class of their own in the table."""
    rows = class_rows(INVENTORY)
    pairs = {(rows.classes[code], record) for code, record in zip(rows.code.tolist(), rows.record.tolist(), strict=True)}
    assert pairs == {
        (("species", "zebra"), 0), (("species", "zebra"), 1), (("species", "lion"), 1), (("species", "lion"), 3),
        (("species", "gnu"), 4), (("species", "gnu"), 5), (("count", "2"), 0), (("count", "2"), 3), (("count", "9"), 5),
    }  # fmt: skip
    assert len(rows.code) == len(pairs)
    table = group_table(rows.of_labels(("species",)), groups_of(INVENTORY, "location"))
    assert table.labels == ("species: gnu", "species: lion", "species: zebra", "")
    counts = {name: table.counts[place].tolist() for place, name in enumerate(table.groups)}
    assert counts["a"] == [0, 1, 1, 0]
    assert counts["b"] == [0, 0, 1, 1]


def test_classes_in_few_groups_are_found() -> None:
    """With the records that show them."""
    groups = groups_of(INVENTORY, "location", then="seq")
    rows = class_rows(INVENTORY).of_labels(("count",))
    rare = few_places(rows, groups, 2)
    assert [rows.classes[number] for number in rare] == [("count", "9")]
    assert records_showing(rows, rare, 6).tolist() == [False] * 5 + [True]


def test_the_label_that_says_what_is_there_is_spread() -> None:
    """Where none does, all are; a name is taken as it is, and has to exist."""
    assert spread_labels(INVENTORY, ()) == ("species",)
    assert spread_labels(INVENTORY, ("count",)) == ("count",)
    other = Inventory.from_records([make_event("1", labels={"a": "x", "b": "y"})])
    assert spread_labels(other, ()) == ("a", "b")
    with pytest.raises(LabelError, match="did you mean 'species'"):
        spread_labels(INVENTORY, ("specis",))
    with pytest.raises(SettingError, match="--split-label: a, b"):
        refuse_several_labels(("a", "b"), "--min-locs")


def test_unique_pairs_are_those_of_numpy() -> None:
    """Sorted, for any numbers."""
    draw = np.random.default_rng(0)
    first, second = draw.integers(0, 30, (2, 500))
    expected = np.unique(np.stack([first, second]), axis=1)
    assert [one.tolist() for one in unique_pairs(first, second)] == expected.tolist()
    assert unique_pairs(first[:0], second[:0])[0].tolist() == []
