"""The tables that every standard comes down to."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest

from camtrap_tf.sources.cct_document import text_of
from camtrap_tf.sources.picture_tables import Tally, folders_of, join_known, numbered_twins, texts, whole_numbers


@pytest.mark.parametrize(
    "values",
    [
        ["a", "", None, "ü"],
        [1, None, -5],
        [1, 2**70],
        [True, 1],
        ["a", 1, 2.0, 2.5, math.nan, [], {}, False, None],
        [None],
        [],
    ],
)
def test_texts_are_those_of_each_value(values: list[object]) -> None:
    """The quick ways for columns of one kind say what `text_of` says of each value."""
    column = texts(values)
    assert column.type == pa.string()
    assert column.to_pylist() == [text_of(value) for value in values]


def test_whole_numbers() -> None:
    """What is no whole number of 64 bits is null."""
    assert whole_numbers([1, None, 3]).to_pylist() == [1, None, 3]
    assert whole_numbers([1, "2", 2.0, True, 2**70]).to_pylist() == [1, None, None, None, None]
    assert whole_numbers([2**70]).to_pylist() == [None]


def test_known_texts_are_joined() -> None:
    """Nulls are left out, rows of nulls stay null and in their place."""
    left, right = pa.array(["a", None, None, "d"]), pa.array(["1", "2", None, None])
    assert join_known([left, right], "/").to_pylist() == ["a/1", "2", None, "d"]
    assert join_known([pa.nulls(2, pa.string())] * 2, "/").to_pylist() == [None, None]


def test_twins_get_numbers() -> None:
    """All names differ, and a name that is there already is never made."""
    assert numbered_twins(["a", "b", "a", "a (2)", "a"]) == ["a", "b", "a (3)", "a (2)", "a (4)"]


@pytest.mark.parametrize(
    ("path", "count", "expected"),
    [
        ("a/b/c.jpg", 1, "a"),
        ("a/b/c.jpg", 5, "a/b"),
        ("c.jpg", 1, None),
        ("./a/c.jpg", 1, "a"),
        ("/a/c.jpg", 1, "a"),
        ("a\\c.jpg", 1, "a"),
    ],
)
def test_first_folders(path: str, count: int, expected: str | None) -> None:
    """Leading separators and dots do not count."""
    assert folders_of(path, count) == expected


def test_a_tally_says_where_everything_is() -> None:
    """Nothing is said of places where there is nothing."""
    tally = Tally("pictures", read=6, used=3, rejected=1)
    tally.put("remote", 1)
    tally.put("remote", 1)
    tally.put("nowhere", 0)
    assert tally.text() == "6 pictures read = 3 used + 1 rejected + 2 remote"
