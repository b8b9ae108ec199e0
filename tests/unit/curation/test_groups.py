"""Groups that resemble each other."""

from __future__ import annotations

from typing import Any

import pytest

from camtrap_tf.curation.groups import (
    EVENT_FIELDS,
    LOCATION_FIELDS,
    choose_group_field,
    find_field,
    leakage_warnings,
    straddling,
)
from camtrap_tf.errors import SettingError
from camtrap_tf.inventory.table import Inventory
from tests.factories import make_event


def inventory(count: int = 12, **meta: Any) -> Inventory:
    """Returns records whose meta data are `field=number of values`."""
    return Inventory.from_records(
        [make_event(str(i), **{field: f"v{i % n}" for field, n in meta.items()}) for i in range(count)]
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("survey", "location"), "location"),
        (("locationID", "x"), "locationID"),
        (("Site_Name",), "Site_Name"),
        (("deployment_id", "location"), "location"),
        (("allocation", "sites visited"), None),
        ((), None),
    ],
)
def test_location_fields_are_found_however_they_are_spelt(fields: tuple[str, ...], expected: str | None) -> None:
    """Case, separators and a trailing id do not matter; other words do."""
    assert find_field(fields, LOCATION_FIELDS) == expected


def test_event_fields_are_found() -> None:
    """Sequences come before events."""
    assert find_field(("eventID", "seq_id"), EVENT_FIELDS) == "seq_id"


@pytest.mark.parametrize(
    ("meta", "wish", "expected"),
    [
        ({"location": 4, "sequence": 6}, "auto", "location"),
        ({"sequence": 6}, "auto", "sequence"),
        ({"location": 1, "sequence": 6}, "auto", "sequence"),
        ({"location": 2, "sequence": 6}, "auto", "sequence"),
        ({"survey": 4}, "auto", None),
        ({"location": 4}, "none", None),
        ({"survey": 2, "location": 4}, "survey", "survey"),
    ],
)
def test_the_field_to_group_by(meta: dict[str, int], wish: str, expected: str | None) -> None:
    """`auto` takes places before bursts, where there is a group for every split; a name is taken as it is."""
    assert choose_group_field(inventory(**meta), wish, least=3) == expected


def test_too_few_places_are_an_error() -> None:
    """Places that cannot fill the splits are not torn apart unasked, unless bursts can be kept whole instead."""
    with pytest.raises(SettingError, match=r"2 groups by 'location' cannot fill 3 splits.*--split-names.*--split-group none"):
        choose_group_field(inventory(location=2), "auto", least=3)
    assert choose_group_field(inventory(location=2), "auto", least=2) == "location"
    assert choose_group_field(inventory(location=2), "none", least=3) is None


def test_an_unknown_field_is_an_error() -> None:
    """The nearest field is named."""
    with pytest.raises(SettingError, match="did you mean 'location'"):
        choose_group_field(inventory(location=3), "locaton", least=3)


def test_straddling_groups_are_counted() -> None:
    """A group in two splits counts once; records without a group do not count."""
    assert straddling(["a", "a", "b", "b", None, ""], ["x", "y", "x", "x", "x", "y"]) == (1, 2)


def test_leakage_is_told() -> None:
    """Places and bursts in several splits each give a sentence that says what to do."""
    some = inventory(location=2, seq=6)
    torn = leakage_warnings(some, ["train"] * 6 + ["val"] * 6, group_field=None)
    assert [text.split(" have ")[0] for text in torn] == [
        "leakage: 2 of 2 groups by 'location'",
        "leakage: 6 of 6 groups by 'seq'",
    ]
    assert "--split-group location" in torn[0]
    of_three = leakage_warnings(some, ["train", "val", "test"] * 4, group_field="seq")
    assert "'location'" in of_three[0]
    assert "fewer than the splits" in of_three[0]
    assert leakage_warnings(some, ["train", "val"] * 6, group_field="location") == []


def test_what_cannot_be_checked_is_told() -> None:
    """Without places and bursts nobody knows whether splits leak."""
    assert "neither location nor sequence" in leakage_warnings(inventory(), ["train"] * 12, group_field=None)[0]
    assert leakage_warnings(inventory(survey=3), ["train"] * 12, group_field="survey") == []
