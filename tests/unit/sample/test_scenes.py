"""What happens before the cameras."""

from __future__ import annotations

from collections import Counter

import pytest

from camtrap_tf.sample.locations import LOCATION_COUNT, locations
from camtrap_tf.sample.scenes import (
    FRAMES,
    LABEL_TYPES,
    broken_pictures,
    events_per_location,
    in_frame,
    scene_events,
)
from camtrap_tf.sample.species import BEHAVIOURS, BLANK, POSTURES, SPECIES


@pytest.mark.parametrize("events", [12, 13, 60, 601])
def test_every_event_has_a_location(events: int) -> None:
    """Events add up, ids are unique, and at least twelve locations are used."""
    found = list(scene_events(3, events))
    assert len(found) == sum(events_per_location(3, events)) == events
    assert len({event.event_id for event in found}) == events
    assert len({event.location for event in found}) >= min(LOCATION_COUNT, 12)


def test_one_location_is_the_same_alone() -> None:
    """The events of one location do not depend on whether the others are gone through."""
    everything = [event for event in scene_events(3, 200) if event.location == 11]
    assert list(scene_events(3, 200, location=11)) == everything
    assert list(scene_events(3, 200, location=11, first=1, stop=3)) == everything[1:3]


def test_every_class_occurs() -> None:
    """All species, blanks, behaviours, postures and counts from 1 to more than 4 are there."""
    found = list(scene_events(7, 600))
    values = {label: {event.labels.get(label) for event in found} - {None} for label in LABEL_TYPES}
    assert values["species"] == {*SPECIES, BLANK}
    assert values["behaviour"] == set(BEHAVIOURS)
    assert values["posture"] == set(POSTURES)
    assert values["count"] >= {"1", "2", "3", "4", "5"}
    assert {event.night for event in found} == {True, False}


def test_a_tenth_of_the_labels_is_missing_each_by_itself() -> None:
    """Per label type about 10 % are missing among events that could have it, and two types miss together in about 1 %."""
    found = [event for event in scene_events(1, 4000) if event.species != BLANK]
    for label in LABEL_TYPES:
        assert sum(label not in event.labels for event in found) / len(found) == pytest.approx(0.10, abs=0.02)
    both = sum("species" not in event.labels and "posture" not in event.labels for event in found)
    assert both / len(found) == pytest.approx(0.01, abs=0.008)


def test_blank_events_have_no_other_label() -> None:
    """A blank event has no animals, and only its species can be given."""
    blank = [event for event in scene_events(2, 400) if event.species == BLANK]
    assert len(blank) > 10
    for event in blank:
        assert set(event.labels) <= {"species"}
        assert not event.individuals


def test_count_is_the_number_of_animals() -> None:
    """Where the count is given it is the number of animals drawn."""
    counted = [event for event in scene_events(2, 300) if "count" in event.labels]
    assert {event.labels["count"] for event in counted} > {"1", "2"}
    for event in counted:
        assert int(event.labels["count"]) == len(event.individuals)


def test_broken_pictures_are_few() -> None:
    """Between half a per cent and one per cent of the pictures are damaged, in all three ways."""
    broken = broken_pictures(7, 600)
    assert 0.005 <= len(broken) / (600 * FRAMES) <= 0.01
    assert set(broken.values()) == {"truncated", "empty", "text"}


def test_moving_animals_move_and_stay_in_view() -> None:
    """One that moves gets on by a fifth of its height or more per frame, and its middle stays in the picture."""
    moving = [event for event in scene_events(7, 300) if event.behaviour == "moving"]
    assert len(moving) > 10
    for event in moving:
        for one in event.individuals:
            places = [in_frame(one, frame, aspect=4 / 3).x for frame in range(FRAMES)]
            assert abs(places[1] - places[0]) > 0.2 * one.height * 3 / 4
            assert all(-0.02 <= place <= 1.02 for place in places)


def test_each_location_has_a_favourite() -> None:
    """At every camera site one species makes up seven in ten of the animals or more, and each is somewhere the favourite."""
    shares = [site.species_share for site in locations(7)]
    assert all(max(share.values()) >= 0.7 for share in shares)
    assert all(sum(share.values()) == pytest.approx(1) for share in shares)
    assert set(Counter(max(share, key=share.__getitem__) for share in shares)) == set(SPECIES)


def test_events_of_a_location_are_in_time_order() -> None:
    """Event ids grow with time at each location, and night pictures are taken at night."""
    for location in range(3):
        found = list(scene_events(7, 300, location=location))
        assert [event.time for event in found] == sorted(event.time for event in found)
        assert all((event.time.hour >= 19 or event.time.hour < 6) == event.night for event in found)
