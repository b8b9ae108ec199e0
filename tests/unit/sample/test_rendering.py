"""Pictures and their boxes."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.sample.rendering import VIEW_PX, render
from camtrap_tf.sample.scenery import HEIGHT_PX, WIDTH_PX
from camtrap_tf.sample.scenes import SceneEvent, scene_events
from camtrap_tf.sample.species import BLANK

SEED = 7
EVENTS = [event for event in scene_events(SEED, 400) if event.location < 4]


def changed(event: SceneEvent, frame: int) -> np.ndarray:
    """Returns which pixels differ between a frame with and without its animals."""
    with_animals = np.asarray(render(SEED, event, frame).picture).astype(int)
    without = np.asarray(render(SEED, event, frame, animals=False).picture).astype(int)
    return np.abs(with_animals - without).max(axis=2) > 12


def test_boxes_hold_the_animals() -> None:
    """Nothing that an animal changes lies outside the boxes, beyond a soft rim of two pixels."""
    for event in EVENTS:
        if event.species == BLANK:
            continue
        outside = changed(event, 1)
        for box in render(SEED, event, 1).boxes:
            if box is not None:
                x, y, width, height = box
                outside[max(0, y - 2) : y + height + 2, max(0, x - 2) : x + width + 2] = False
        assert outside.sum() <= 6, event.event_id


def test_boxes_are_tight() -> None:
    """Around a single animal, the changed pixels fill the box from edge to edge but where plants hide it."""
    slack = []
    for event in EVENTS:
        if len(event.individuals) != 1:
            continue
        box = render(SEED, event, 0).boxes[0]
        rows, columns = np.nonzero(changed(event, 0))
        assert box is not None
        x, y, width, height = box
        slack.append([columns.min() - x, x + width - 1 - columns.max(), rows.min() - y, y + height - 1 - rows.max()])
    assert len(slack) > 5
    assert np.median(np.abs(slack), axis=0).max() <= 2


def test_same_seed_same_pixels() -> None:
    """A frame is a function of seed, event and number alone."""
    first, again = (np.asarray(render(SEED, EVENTS[0], 2).picture) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, np.asarray(render(SEED, EVENTS[0], 1).picture))


def test_night_is_grey_and_day_is_not() -> None:
    """Infrared pictures have equal channels and noise; daylight has colour."""
    night = next(event for event in EVENTS if event.night)
    day = next(event for event in EVENTS if not event.night)
    pixels = np.asarray(render(SEED, night, 0).picture).astype(int)[:VIEW_PX]
    assert (pixels.max(axis=2) - pixels.min(axis=2)).max() == 0
    pixels = np.asarray(render(SEED, day, 0).picture).astype(int)[:VIEW_PX]
    assert (pixels.max(axis=2) - pixels.min(axis=2)).mean() > 15


def test_info_strip_is_burned_in() -> None:
    """The bottom rows hold light letters on black, which change with the time."""
    strips = [np.asarray(render(SEED, EVENTS[0], frame).picture)[VIEW_PX:, :, 0] for frame in (0, 1)]
    assert strips[0].shape == (HEIGHT_PX - VIEW_PX, WIDTH_PX)
    assert strips[0].max() > 200
    assert np.median(strips[0]) < 40
    assert not np.array_equal(strips[0], strips[1])


@pytest.mark.parametrize("behaviour", ["moving", "standing"])
def test_only_moving_animals_change_places(behaviour: str) -> None:
    """Between first and last frame the boxes of walking animals shift by more than those of standing ones."""
    shifts = []
    for event in scene_events(SEED, 300):
        if event.location < 5 and event.behaviour == behaviour and len(event.individuals) == 1:
            first, last = (render(SEED, event, frame).boxes[0] for frame in (0, 2))
            if first and last and first[0] > 2 and last[0] > 2:
                shifts.append(abs(first[0] + first[2] / 2 - last[0] - last[2] / 2))
    assert shifts
    assert (np.median(shifts) > 15) == (behaviour == "moving")
