"""Boxes of all forms are judged and brought to ours."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest

from camtrap_tf.detections.boxes import (
    REASONS,
    BoxError,
    box_numbers,
    checked_box,
    checked_boxes,
    is_cut,
    pixels_of,
    rounded,
)
from camtrap_tf.records import BoundingBox


def reason_of(values: object, *, relative: bool, size_px: tuple[float, float] | None = None) -> str:
    """Returns why a box is refused; empty if it is not."""
    try:
        checked_box(values, size_px=size_px, relative=relative)
    except BoxError as err:
        return err.reason
    return ""


def test_pixels_become_shares() -> None:
    """A box in px is divided by width and height of its picture, and comes back."""
    box = checked_box([50, 20, 25, 10], size_px=(100, 40), relative=False)
    assert box == BoundingBox(0.5, 0.5, 0.25, 0.25)
    assert pixels_of(box, 100, 40) == (50, 20, 25, 10)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([90, 0, 20, 40], (0.9, 0.0, 0.1, 1.0)),
        ([-10, -10, 20, 30], (0.0, 0.0, 0.1, 0.5)),
        ([-10, -10, 200, 300], (0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_boxes_that_stick_out_are_cut(values: list[float], expected: tuple[float, ...]) -> None:
    """What lies inside the picture is kept."""
    box = checked_box(values, size_px=(100, 40), relative=False)
    assert (box.x, box.y, box.width, box.height) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1, 2, 3], "box_not_numbers"),
        (None, "box_not_numbers"),
        ("1234", "box_not_numbers"),
        ([1, 2, 3, None], "box_not_numbers"),
        ([1, 2, 3, "4"], "box_not_numbers"),
        ([1, 2, 3, True], "box_not_numbers"),
        ([1, 2, 3, math.nan], "box_not_numbers"),
        ([1, 2, 3, 10**400], "box_not_numbers"),
        ([1, 2, 0, 4], "box_empty"),
        ([1, 2, 3, -4], "box_empty"),
        ([100, 2, 3, 4], "box_outside"),
        ([-5, 2, 5, 4], "box_outside"),
        ([0.1, 0.2, 0.3, 0.4], "box_relative"),
        ([0, 0, 1, 1], "box_relative"),
    ],
)
def test_bad_boxes_in_px(values: object, reason: str) -> None:
    """Each kind of bad box has a reason of its own, and the message shows the box."""
    assert reason_of(values, size_px=(100, 40), relative=False) == reason
    assert REASONS[checked_boxes(box_numbers([values]), size_px=np.array([[100.0, 40.0]])).problems[0]] == reason


def test_px_where_shares_are_expected() -> None:
    """A box in px is recognised, one that sticks out a little is cut."""
    assert reason_of([537.6, 10, 20, 30], relative=True) == "box_absolute"
    assert reason_of([0.9, 0, 0.4, 1.2], relative=True) == ""
    with pytest.raises(BoxError, match=r"box \[537.6, 10, 20, 30\] is in px where numbers in \[0, 1\]"):
        checked_box([537.6, 10, 20, 30], relative=True)


@pytest.mark.parametrize("size", [None, (math.nan, 40.0), (0.0, 40.0)])
def test_px_need_the_size_of_the_picture(size: tuple[float, float] | None) -> None:
    """Without a size, px mean nothing."""
    assert reason_of([1, 2, 3, 4], size_px=size, relative=False) == "box_without_size"


@pytest.mark.parametrize("relative", [True, False])
def test_many_boxes_are_judged_like_one(relative: bool) -> None:
    """The two ways agree on reason and numbers, exactly, for boxes of every kind."""
    draw = random.Random(1)
    near = [-0.2, 0.0, 0.3, 1.0, 1.2, 2.0, 50, 100, 120, -30, math.nan]
    boxes = [list(one) for one in itertools.product(near, repeat=4) if draw.random() < 0.2]
    boxes += [[draw.uniform(-20, 110) * (0.01 if relative else 1) for _ in range(4)] for _ in range(2000)]
    sizes = np.array([[100.0, 40.0]] * len(boxes))
    checked = checked_boxes(box_numbers(boxes), size_px=None if relative else sizes)
    assert len(set(checked.problems.tolist())) >= 4
    for values, box, problem in zip(boxes, checked.boxes.tolist(), checked.problems, strict=True):
        assert reason_of(values, size_px=(100.0, 40.0), relative=relative) == REASONS[problem]
        if not problem:
            one = checked_box(values, size_px=(100.0, 40.0), relative=relative)
            assert [one.x, one.y, one.width, one.height] == box


def test_only_boxes_that_were_cut_count_as_cut() -> None:
    """Rounding by half a px is no cut."""
    numbers = box_numbers([[0, 0, 100.4, 40], [0, 0, 101, 40], [5, 5, 5, 5], [200, 0, 5, 5]])
    assert checked_boxes(numbers, size_px=np.array([[100.0, 40.0]] * 4)).cut.tolist() == [False, True, False, False]


def test_one_box_is_cut_by_the_rule_of_many() -> None:
    """At every edge, and not where less than rounding sticks out."""
    near = (-0.01, -0.0005, 0.0, 0.4, 0.5996, 0.61)
    boxes = [[x, y, 0.4, 0.4] for x in near for y in near]
    cut = [is_cut(box) for box in boxes]
    assert cut == checked_boxes(box_numbers(boxes)).cut.tolist()
    assert cut == [not {x, y}.isdisjoint({-0.01, 0.61}) for x in near for y in near]


def test_no_boxes() -> None:
    """None at all is fine."""
    checked = checked_boxes(box_numbers([]), size_px=np.zeros((0, 2)))
    assert checked.boxes.shape == (0, 4)


def test_rounding_stays_inside() -> None:
    """Rounded boxes keep an area and end at the edge at the latest."""
    for box in (BoundingBox(0.99999, 0.0, 1e-5, 1.0), BoundingBox(0.33333, 0.66667, 0.66667, 0.33333)):
        x, y, width, height = rounded(box, 3)
        assert min(width, height) > 0
        assert max(x + width, y + height) <= 1
