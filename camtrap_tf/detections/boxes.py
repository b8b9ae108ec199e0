"""Boxes of the two forms that camera-trap files have, checked and brought to ours: `x, y, width, height` in [0, 1].

| form | numbers | from |
| --- | --- | --- |
| pixels | `x, y, width, height` in px | COCO, COCO Camera Traps |
| relative | `x, y, width, height` in [0, 1] | MegaDetector, Camtrap DP, `bbox_relative` |

A box that sticks out of its picture is cut at the edge. `checked_box` judges one box, `checked_boxes` many at once by the
same rules.
"""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from camtrap_tf.config.base import BoxNumbers
from camtrap_tf.errors import counted
from camtrap_tf.records import BoundingBox

PROBLEMS: dict[str, str] = {
    "box_not_numbers": "is not four finite numbers",
    "box_without_size": "is in px, and the size of its picture is not known",
    "box_relative": "is relative ([0, 1]) where px are expected; relative ones are called bbox_relative",
    "box_absolute": "is in px where numbers in [0, 1] are expected",
    "box_empty": "has no area",
    "box_outside": "lies outside its picture",
}
"""Reason code → what is wrong with such a box, worst first."""

BOXES_FLAG: dict[str, str] = {"box_relative": "relative", "box_absolute": "pixels"}
"""Reason code → value of the flag `--boxes` with which such boxes are read, where a command has that flag."""

REASONS = ("", *PROBLEMS)
"""Reason by the number that `checked_boxes` gives; 0: the box is fine."""

SURELY_ABSOLUTE = 2.0
"""Numbers of a relative box from here on cannot be a box that sticks out a little: they are px."""

SLACK_PX = 0.5
SLACK = 1e-3
"""How far a box may stick out before it counts as cut: less is rounding."""

LARGEST = 1e15
"""No number of a box is as large as this; whole numbers beyond what a float can hold are none either."""

Floats = npt.NDArray[np.float64]
Numbers = tuple[float, float, float, float]


class BoxError(ValueError):
    """A box cannot be used.

    Attributes:
        reason: reason code, one of `PROBLEMS`.
    """

    def __init__(self, reason: str, values: Any) -> None:
        """Keeps the reason; the text shows the box as the file has it."""
        super().__init__(f"box {str(values)[:80]} {PROBLEMS[reason]}")
        self.reason = reason


def checked_box(values: Any, *, size_px: tuple[float, float] | None = None, relative: bool) -> BoundingBox:
    """Returns one box in our form, cut at the edges of its picture.

    Args:
        values: `[x, y, width, height]`, whatever a file holds there.
        size_px: width and height of the picture; needed for boxes in px.
        relative: whether the numbers are in [0, 1] rather than px.

    Raises:
        BoxError: it is no box, or lies outside its picture.
    """
    if not isinstance(values, (list, tuple)) or len(values) != 4 or not all(is_number(value) for value in values):
        raise BoxError("box_not_numbers", values)
    numbers = [float(value) for value in values]
    width_px, height_px = (1.0, 1.0) if relative else size_px or (math.nan, math.nan)
    reason = _problem(numbers, width_px, height_px, relative=relative)
    if reason:
        raise BoxError(reason, values)
    x, width = _inside(numbers[0], numbers[2], width_px)
    y, height = _inside(numbers[1], numbers[3], height_px)
    if width <= 0 or height <= 0:
        raise BoxError("box_outside", values)
    return BoundingBox(x, y, width, height)


def flag_advice(reason: str, boxes: str) -> str:
    """Ends a message about a box: the flag that reads it, or nothing where that would not help.

    Args:
        reason: reason code of the box.
        boxes: what `--boxes` is now, `pixels` or `relative`.
    """
    other = BOXES_FLAG.get(reason, boxes)
    return "" if other == boxes else f" (--boxes {other} reads such)"


def advice_text(reason: str, count: int, boxes: str) -> str:
    """Returns a sentence on boxes that were rejected for their unit, with the flag that reads them where that helps."""
    there = {"box_relative": "relative where px", "box_absolute": "in px where shares of the picture"}[reason]
    help_ = f"; if all are, read them with --boxes {BOXES_FLAG[reason]}" if flag_advice(reason, boxes) else ""
    return f"{counted(count, 'box', 'es')} {there} are expected{help_}"


def advice_texts(reasons: Iterable[str], boxes: BoxNumbers) -> list[str]:
    """Returns a sentence per reason of boxes that another `--boxes` would read.

    Args:
        reasons: reason codes of the boxes that were rejected; others are passed over.
        boxes: what `--boxes` is now.
    """
    helped = collections.Counter(reason for reason in reasons if flag_advice(reason, boxes))
    return [advice_text(reason, count, boxes) for reason, count in helped.items()]


def is_number(value: Any) -> bool:
    """Returns whether a parsed JSON value is a finite number; truth values are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST


def is_cut(numbers: Sequence[float]) -> bool:
    """Tells whether a relative box sticks out of its picture by more than rounding, so that `checked_box` cuts it."""
    x, y, width, height = numbers
    return min(x, y) < -SLACK or max(x + width, y + height) > 1 + SLACK


def _problem(numbers: Sequence[float], width_px: float, height_px: float, *, relative: bool) -> str:
    """Returns the reason code of a box of four finite numbers; empty where it is fine so far."""
    if not relative and not (width_px > 0 and height_px > 0):
        return "box_without_size"
    if relative and max(numbers) >= SURELY_ABSOLUTE:
        return "box_absolute"
    if numbers[2] <= 0 or numbers[3] <= 0:
        return "box_empty"
    if not relative and min(numbers) >= 0 and max(numbers) <= 1:
        return "box_relative"
    return ""


def _inside(start: float, length: float, whole: float) -> tuple[float, float]:
    """Returns start and length of what lies in [0, whole], as shares of it."""
    if start >= 0 and start + length <= whole:
        return start / whole, length / whole
    first, last = max(start, 0.0), min(start + length, whole)
    return first / whole, (last - first) / whole


@dataclass(frozen=True, slots=True)
class CheckedBoxes:
    """Many boxes in our form.

    Attributes:
        boxes: `[n, 4]` x, y, width, height in [0, 1]; NaN where there is none.
        problems: `[n]` place in `REASONS`; 0 where the box is fine.
        cut: `[n]` whether it stuck out of its picture by more than rounding.
    """

    boxes: Floats
    problems: npt.NDArray[np.int8]
    cut: npt.NDArray[np.bool_]


def checked_boxes(numbers: Floats, *, size_px: Floats | None = None) -> CheckedBoxes:
    """Judges many boxes by the rules of `checked_box`.

    Args:
        numbers: `[n, 4]` x, y, width, height, as `box_numbers` gives them; NaN: no numbers.
        size_px: `[n, 2]` width and height of each picture, NaN where unknown; None: the boxes are relative.
    """
    relative = size_px is None
    whole = np.ones((len(numbers), 2)) if size_px is None else size_px
    problems = np.zeros(len(numbers), np.int8)
    with np.errstate(invalid="ignore", divide="ignore"):
        start, length = numbers[:, :2], numbers[:, 2:]
        first, last = np.maximum(start, 0.0), np.minimum(start + length, whole)
        sticks_out = (start < 0) | (start + length > whole)
        left = np.where(sticks_out, last - first, length)
        boxes = np.concatenate([np.where(sticks_out, first, start) / whole, left / whole], axis=1)
        found = {"box_outside": (boxes[:, 2:] <= 0).any(1), "box_empty": (length <= 0).any(1)}
        if relative:
            found["box_absolute"] = numbers.max(1, initial=-np.inf) >= SURELY_ABSOLUTE
        else:
            between = (numbers >= 0).all(1) & (numbers <= 1).all(1)
            found["box_relative"] = between & ~found["box_empty"]
            found["box_without_size"] = ~(whole > 0).all(1)
        found["box_not_numbers"] = ~np.isfinite(numbers).all(1)
        for reason, where in found.items():
            problems[where] = REASONS.index(reason)
        slack = SLACK if relative else SLACK_PX
        cut = ((start < -slack) | (start + length > whole + slack)).any(1) & (problems == 0)
    boxes[problems != 0] = np.nan
    return CheckedBoxes(boxes, problems, cut)


def box_numbers(values: Sequence[Any]) -> Floats:
    """Returns `[n, 4]` numbers of boxes as a file holds them; a row of NaN where there are not four finite numbers."""
    if set(map(type, values)) <= {list} and set(map(len, values)) <= {4}:
        flat = list(itertools.chain.from_iterable(values))
        if set(map(type, flat)) <= {int, float}:
            try:
                return _bounded(np.array(flat, np.float64).reshape(-1, 4))
            except OverflowError:
                pass
    nothing = (math.nan,) * 4
    rows = [tuple(one) if _is_box(one) else nothing for one in values]
    return np.array(rows, np.float64).reshape(-1, 4)


def _is_box(value: Any) -> bool:
    """Returns whether a parsed JSON value is a list of four finite numbers."""
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(map(is_number, value))


def _bounded(numbers: Floats) -> Floats:
    """Returns `[n, 4]` with rows of NaN where a number is not finite or absurdly large."""
    numbers[~(np.abs(numbers) < LARGEST).all(1)] = np.nan
    return numbers


def pixels_of(box: BoundingBox, width_px: float, height_px: float) -> Numbers:
    """Returns `(x, y, width, height)` in px of a picture of this size, not rounded."""
    return box.x * width_px, box.y * height_px, box.width * width_px, box.height * height_px


def rounded(box: BoundingBox, digits: int) -> Numbers:
    """Returns `(x, y, width, height)` in [0, 1], rounded without leaving the picture or losing the last of the area."""
    least = 10.0**-digits
    x, y = (min(round(value, digits), 1.0 - least) for value in (box.x, box.y))
    width, height = (max(round(value, digits), least) for value in (box.width, box.height))
    return x, y, min(width, round(1.0 - x, digits)), min(height, round(1.0 - y, digits))
