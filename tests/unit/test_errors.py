"""Errors that we foresee."""

from __future__ import annotations

import pytest

from camtrap_tf import errors
from camtrap_tf.errors import CamtrapError, PictureError, TooManyRejectsError, counted, shortened, suggestion


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("zebrra", ["lion", "zebra"], "; did you mean 'zebra'?"),
        ("ZEBRA", ["lion", "zebra"], "; did you mean 'zebra'?"),
        ("x", ["lion", "zebra"], "; choose from: lion, zebra"),
        ("x", [], "; there are none"),
        ("qqq", ["108", "115"] * 50, "; choose from: 108, 115"),
        (
            "qqq",
            [f"class{i}" for i in range(40)],
            "; choose from: " + ", ".join(f"class{i}" for i in range(12)) + " and 28 more",
        ),
    ],
)
def test_the_nearest_name_is_suggested(name: str, known: list[str], expected: str) -> None:
    """A slip of the pen is answered with the name that was meant, anything else with the choice."""
    assert suggestion(name, known) == expected


def test_every_error_is_a_child_of_ours_with_an_exit_code() -> None:
    """Commands end with 2, or with 3 after too many rejects."""
    children = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert all(issubclass(one, CamtrapError) for one in children)
    assert {one.exit_code for one in children if one is not TooManyRejectsError} == {2}
    assert TooManyRejectsError.exit_code == 3


def test_a_picture_error_keeps_its_reason() -> None:
    """The reason code goes into the rejects table."""
    error = PictureError("truncated", "ends in the middle")
    assert (error.reason, error.detail, str(error)) == ("truncated", "ends in the middle", "truncated: ends in the middle")


def test_things_are_counted_as_one_says_it() -> None:
    """One thing has no ending."""
    assert [counted(count, "record") for count in (0, 1, 2)] == ["0 records", "1 record", "2 records"]
    assert [counted(count, "class", "es") for count in (1, 2)] == ["1 class", "2 classes"]


def test_long_lists_are_cut() -> None:
    """Up to the number allowed all are said, then how many are left."""
    assert shortened(["a", "b"], most=2) == "a, b"
    assert shortened(["a", "b", "c", "d"], most=2, between="; ") == "a; b and 2 more"
