"""Events from time gaps."""

from __future__ import annotations

import math
import random

import numpy as np

from camtrap_tf.sources.event_gaps import gap_events


def one_by_one(cameras: list[int], seconds: list[float], gap_s: float) -> list[int]:
    """Returns the events the slow way: each picture joins the event of the one before it in time, of the same camera."""
    events = [-1] * len(seconds)
    for camera in set(cameras):
        rows = sorted(
            (r for r in range(len(seconds)) if cameras[r] == camera and seconds[r] == seconds[r]), key=lambda r: seconds[r]
        )
        for before, row in zip([None, *rows], rows, strict=False):
            joins = before is not None and seconds[row] - seconds[before] <= gap_s
            events[row] = events[before] if joins and before is not None else row
    return events


def test_pictures_close_in_time_are_one_event() -> None:
    """A gap longer than asked, or another camera, begins an event; the gap is between neighbours."""
    cameras, seconds = np.array([0, 0, 1, 0, 0]), np.array([100.0, 160.0, 130.0, 220.0, 281.0])
    assert gap_events(cameras, seconds, 60.0).tolist() == [0, 0, 2, 0, 4]


def test_pictures_without_a_time_are_in_no_event() -> None:
    """They are told apart by -1; no pictures at all are fine."""
    assert gap_events(np.array([0, 0]), np.array([math.nan, 5.0]), 60.0).tolist() == [-1, 1]
    assert gap_events(np.zeros(0, np.int64), np.zeros(0), 60.0).tolist() == []


def test_the_slow_way_gives_the_same() -> None:
    """Pictures in any order, of several cameras, some without a time."""
    draw = random.Random(3)
    seconds = [
        draw.choice([math.nan, draw.randrange(4000)]) if draw.random() < 0.1 else draw.randrange(4000) + 0.5 for _ in range(300)
    ]
    cameras = [draw.randrange(5) for _ in seconds]
    assert len(set(seconds)) > 250
    assert gap_events(np.array(cameras), np.array(seconds), 45.0).tolist() == one_by_one(cameras, seconds, 45.0)
