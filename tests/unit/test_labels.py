"""Label mappings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from camtrap_tf.errors import LabelError, SourceError
from camtrap_tf.labels import UNKNOWN, LabelMapping, bin_order, merge_mappings

ANIMALS = LabelMapping({"species": {"cat": 0, "doggy": 1, "dog": 1}, "count": {"1": 0, "2": 1}})


def test_classes_are_numbered_as_texts() -> None:
    """1, 10, 11, 2 …; missing ones are left out."""
    mapping = LabelMapping.from_classes({"count": ["2", "10", "1", "11", "-1", "", "2"], "a": ["-1"]})
    assert mapping.as_json() == {"a": {}, "count": {"1": 0, "10": 1, "11": 2, "2": 3}}


def test_many_names_may_share_an_index() -> None:
    """The first one listed is the canonical name; an unknown class is -1."""
    assert ANIMALS.names("species") == ("cat", "doggy")
    assert [ANIMALS.index("species", name) for name in ("dog", "doggy", "cat", "cow", "-1")] == [1, 1, 0, UNKNOWN, UNKNOWN]


def test_reading_gives_what_was_written(tmp_path: Path) -> None:
    """Order of names included."""
    ANIMALS.write(tmp_path / "m.json")
    again = LabelMapping.read(tmp_path / "m.json")
    assert json.dumps(again.as_json()) == json.dumps(ANIMALS.as_json())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "object of label types"),
        ({}, "object of label types"),
        ({"s": ["cat"]}, "not an object of class: index"),
        ({"s": {"cat": "0"}}, "not a whole number"),
        ({"s": {"cat": 0.0}}, "not a whole number"),
        ({"s": {"cat": True}}, "not a whole number"),
        ({"s": {"cat": 0, "dog": 2}}, "first one missing is 1"),
        ({"s": {"cat": 1}}, "first one missing is 0"),
        ({"s": {"cat": -1, "dog": 0}}, "without gaps"),
    ],
)
def test_wrong_mappings_are_refused(value: Any, message: str) -> None:
    """The message names the file and what is wrong."""
    with pytest.raises(LabelError, match=f"m.json: .*{message}"):
        LabelMapping.from_json(value, "m.json")


def test_unreadable_mappings_are_refused(tmp_path: Path) -> None:
    """Absent or broken files are named."""
    with pytest.raises(SourceError, match="no such label mapping"):
        LabelMapping.read(tmp_path / "m.json")
    (tmp_path / "m.json").write_text("{")
    with pytest.raises(SourceError, match="not a label mapping"):
        LabelMapping.read(tmp_path / "m.json")


def test_selecting_labels_keeps_the_order_asked_for() -> None:
    """An unknown label type is answered with the nearest."""
    assert ANIMALS.select(["count", "species"]).label_types == ("count", "species")
    with pytest.raises(LabelError, match="did you mean 'species'"):
        ANIMALS.select(["specis"])


def test_merging_is_a_union() -> None:
    """Label types and classes of all, numbered by name; the order of sources does not matter."""
    others = LabelMapping({"species": {"ant": 0, "cat": 1}, "age": {"old": 0}})
    merged = merge_mappings([ANIMALS, others])
    assert merged.as_json() == {
        "age": {"old": 0},
        "count": {"1": 0, "2": 1},
        "species": {"ant": 0, "cat": 1, "dog": 2, "doggy": 2},
    }
    assert merge_mappings([others, ANIMALS]) == merged
    LabelMapping.from_json(merged.as_json(), "merged")


def test_names_that_are_one_class_anywhere_are_one_in_the_merger() -> None:
    """Sharing carries over chains of mappings."""
    one, other = LabelMapping({"s": {"a": 0, "b": 0}}), LabelMapping({"s": {"b": 0, "c": 0, "d": 1}})
    merged = merge_mappings([one, other]).classes["s"]
    assert merged["a"] == merged["b"] == merged["c"] != merged["d"]


def test_mappings_that_contradict_each_other_are_refused() -> None:
    """One says same, the other says different."""
    with pytest.raises(LabelError, match=r"'dog' and 'doggy'|'doggy' and 'dog'"):
        merge_mappings([ANIMALS, LabelMapping({"species": {"dog": 0, "doggy": 1}})])


def test_order_of_bins() -> None:
    """Count bins go by their lower bounds, whatever their order as texts."""
    assert bin_order(("1", "10", "11-50", "2", "51+"), "count") == (0, 3, 1, 2, 4)
    with pytest.raises(LabelError, match="count: class 'NA' is no count bin"):
        bin_order(("1", "NA"), "count")
    with pytest.raises(LabelError, match="'11-50' and '11\\+' begin with the same number"):
        bin_order(("11-50", "11+"), "count")


def test_without_classes() -> None:
    """Classes go with all names of their index, the others are numbered again."""
    mapping = LabelMapping({"a": {"x": 0, "blank": 1, "y": 2, "nothing": 1, "ypsilon": 2}})
    assert mapping.without("a", ["blank", "elsewhere"]).classes["a"] == {"x": 0, "y": 1, "ypsilon": 1}
