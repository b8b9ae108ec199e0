"""Inventories put together."""

from __future__ import annotations

import pytest

from camtrap_tf.errors import SourceError
from camtrap_tf.inventory.merging import merge
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event


def test_merged_records_keep_their_order_and_gain_missing_labels() -> None:
    """Label types that one inventory lacks are missing in its records."""
    one = Inventory.from_records([make_event("1", labels={"species": "a"}), make_event("2", location="x")])
    other = Inventory.from_records([make_event("3", labels={"count": "4"})])
    merged = merge([one, other], ["one", "other"])
    assert merged.ids == ["1", "2", "3"]
    assert merged.first_labels("count") == [None, None, "4"]
    assert merged.meta("location") == [None, "x", None]


def test_equal_records_are_kept_once() -> None:
    """A record that both have alike is there once, also where one knows more label types elsewhere."""
    one = Inventory.from_records([make_event("1"), make_event("2")])
    other = Inventory.from_records([make_event("3", labels={"count": "1"}), make_event("1")])
    merged = merge([one, other], ["one", "other"])
    assert merged.ids == ["1", "2", "3"]


def test_different_records_of_one_id_are_refused() -> None:
    """The error names the id, both files and what differs."""
    one = Inventory.from_records([make_event("1", location="x"), make_event("2")])
    other = Inventory.from_records([make_event("2", pictures=("b.jpg",))])
    with pytest.raises(SourceError, match=r"'2' is not the same in one and other \(they differ in pictures\)"):
        merge([one, other], ["one", "other"])
