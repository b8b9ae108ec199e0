"""Tubes: bent shapes of varying thickness."""

from __future__ import annotations

import numpy as np
import pytest

from camtrap_tf.sample.shapes import tube


def shoelace(points: np.ndarray) -> float:
    """Returns the area of a polygon."""
    x, y = points.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


def test_straight_tube_has_the_area_of_a_stadium() -> None:
    """A straight tube of even thickness encloses a rectangle and two half discs."""
    outline = tube([(0, 0), (1, 0), (2, 0)], (0.5, 0.5, 0.5)).outline()
    assert shoelace(outline) == pytest.approx(2 * 1.0 + np.pi * 0.25, rel=0.03)


def test_tube_passes_through_its_control_points() -> None:
    """The centre line goes through every control point, the radius too."""
    points = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0), (4.0, 4.0)]
    shape = tube(points, (0.1, 0.4, 0.2, 0.3))
    found = shape.at(np.array([0, 1 / 3, 2 / 3, 1]), np.zeros(4))
    assert found == pytest.approx(np.array(points))
    assert shape.radius[[0, -1]] == pytest.approx([0.1, 0.3])


def test_positive_v_is_left_of_the_direction() -> None:
    """On a tube that goes right, v = 1 is the upper edge."""
    shape = tube([(0, 0), (1, 0)], (0.2, 0.2))
    assert shape.at(0.5, 1.0)[0] == pytest.approx([0.5, 0.2])
    assert shape.at(0.5, -1.0)[0] == pytest.approx([0.5, -0.2])


def test_band_covers_its_part_of_the_width() -> None:
    """The strip between v = 0 and v = 1 has half the area of the strip from -1 to 1."""
    shape = tube([(0, 0), (1, 0), (2, 0)], (0.2, 0.3, 0.2))
    assert shoelace(shape.band(0, 1)) == pytest.approx(0.5 * shoelace(shape.band(-1, 1)), rel=0.05)
