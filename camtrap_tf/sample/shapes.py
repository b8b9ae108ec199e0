"""Tubes: a centre line with a radius along it. Bodies, necks, legs, tails, trunks and trees are made of them.

A tube has coordinates of its own, `u` along it in [0, 1] and `v` across it in [-1, 1]; coat patterns are drawn in
these, so they follow every bend and never leave the body. Units are those of the caller; y points up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""`[n, 2]` x and y."""

SAMPLES_PER_SPAN = 7


@lru_cache(maxsize=64)
def _spline_basis(count: int) -> Points:
    """Returns the `[m, count]` matrix that takes control points to points of a Catmull-Rom spline through them."""
    steps = (count - 1) * SAMPLES_PER_SPAN
    basis = np.zeros((steps + 1, count))
    for row in range(steps + 1):
        span = min(row // SAMPLES_PER_SPAN, count - 2)
        t = row / SAMPLES_PER_SPAN - span
        weights = (
            (-0.5 * t + t * t - 0.5 * t**3),
            (1 - 2.5 * t * t + 1.5 * t**3),
            (0.5 * t + 2 * t * t - 1.5 * t**3),
            (-0.5 * t * t + 0.5 * t**3),
        )
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
            basis[row, min(max(span + offset, 0), count - 1)] += weight
    return basis


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """A bent shape of varying thickness.

    Attributes:
        centre: `[m, 2]` points of the centre line.
        across: `[m, 2]` unit vectors at right angles to it, to the left of its direction.
        radius: `[m]` half thickness.
    """

    centre: Points
    across: Points
    radius: NDArray[np.float64]

    def at(self, u: NDArray[np.float64] | float, v: NDArray[np.float64] | float) -> Points:
        """Returns the `[n, 2]` points at `u` along (0 … 1) and `v` across (-1 … 1; 1 is left of the direction)."""
        place = np.clip(np.atleast_1d(np.asarray(u, float)), 0.0, 1.0) * (len(self.radius) - 1)
        low = np.minimum(place.astype(int), len(self.radius) - 2)
        part = (place - low)[:, None]
        centre = self.centre[low] * (1 - part) + self.centre[low + 1] * part
        across = self.across[low] * (1 - part) + self.across[low + 1] * part
        radius = self.radius[low] * (1 - part[:, 0]) + self.radius[low + 1] * part[:, 0]
        return np.asarray(centre + across * (radius * v)[:, None])

    def band(self, low: float, high: float, *, start: float = 0.0, end: float = 1.0) -> Points:
        """Returns the outline of the strip between two values of `v`, from `start` to `end` along the tube."""
        count = max(3, round((end - start) * (len(self.radius) - 1)) + 1)
        u = np.linspace(start, end, count)
        return np.concatenate([self.at(u, np.full(count, high)), self.at(u[::-1], np.full(count, low))])

    def outline(self) -> Points:
        """Returns the outline, with round ends."""
        left = self.centre + self.across * self.radius[:, None]
        right = self.centre - self.across * self.radius[:, None]
        return np.concatenate([left, self._cap(-1), right[::-1], self._cap(0)])

    def _cap(self, end: int) -> Points:
        """Returns the half circle that closes one end, in outline order."""
        across = self.across[end]
        along = np.array([across[1], -across[0]]) * (1 if end == -1 else -1)
        sign = 1 if end == -1 else -1
        angles = np.linspace(0, np.pi, 8)[1:-1]
        offsets = np.cos(angles)[:, None] * across * sign + np.sin(angles)[:, None] * along
        return np.asarray(self.centre[end] + self.radius[end] * offsets)


def tube(points: Sequence[tuple[float, float]] | Points, radii: Sequence[float]) -> Tube:
    """Returns the tube through control points.

    Args:
        points: at least two control points.
        radii: half thickness at each.
    """
    control = np.asarray(points, float)
    basis = _spline_basis(len(control))
    centre = basis @ control
    radius = np.maximum(basis @ np.asarray(radii, float), 1e-4)
    direction = np.empty_like(centre)
    direction[1:-1] = centre[2:] - centre[:-2]
    direction[0], direction[-1] = centre[1] - centre[0], centre[-1] - centre[-2]
    direction /= np.maximum(np.hypot(direction[:, 0], direction[:, 1]), 1e-9)[:, None]
    across = np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    return Tube(centre, across, radius)
