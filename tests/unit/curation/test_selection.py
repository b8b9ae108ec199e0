"""Filters."""

from __future__ import annotations

import pytest

from camtrap_tf.curation.selection import any_of, check_pairs, single_observation
from camtrap_tf.errors import LabelError
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event

INVENTORY = Inventory.from_records(
    [
        make_event("0", labels={"species": "cat", "count": "1"}),
        make_event("1", labels={"species": "wildcat", "count": "11-50"}),
        make_event("2", labels=[{"species": "dog", "count": "1"}, {"species": "cat", "count": "2"}]),
        make_event("3", labels={"count": "2"}),
    ]
)


def test_single_observations() -> None:
    """Records with two observations are told apart."""
    assert single_observation(INVENTORY).tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("species", "cat")], [0, 2]),
        ([("count", "1")], [0, 2]),
        ([("species", "wildcat"), ("count", "2")], [1, 2, 3]),
        ([("species", "-1")], [3]),
        ([], []),
    ],
)
def test_pairs_match_exactly_in_any_observation(pairs: list[tuple[str, str]], expected: list[int]) -> None:
    """`cat` is not `wildcat`, `1` is not `11-50`; one pair is enough."""
    assert any_of(INVENTORY, pairs).nonzero()[0].tolist() == expected


def test_unknown_names_are_errors() -> None:
    """A label type or class that nobody has filters nothing, which nobody wants."""
    check_pairs(INVENTORY, [("species", "cat"), ("species", "-1")], "keep")
    with pytest.raises(LabelError, match=r"--remove-label-name: no label type 'specie'.*did you mean 'species'"):
        check_pairs(INVENTORY, [("specie", "cat")], "remove")
    with pytest.raises(LabelError, match="--keep-label-value: label 'species' has no class 'wild cat'; did you mean 'wildcat'"):
        check_pairs(INVENTORY, [("species", "wild cat")], "keep")
