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

SAMPLES_PER_SPAN = 6

CAP: Points = np.stack([np.cos(np.linspace(0, np.pi, 7)[1:-1]), np.sin(np.linspace(0, np.pi, 7)[1:-1])], axis=1)
"""Cosine and sine along a half circle, without its ends."""


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
        last = len(self.radius) - 1
        place = np.minimum(np.maximum(np.atleast_1d(np.asarray(u, float)), 0.0), 1.0) * last
        low = np.minimum(place.astype(int), last - 1)
        part = place - low
        frame = np.concatenate([self.centre, self.across, self.radius[:, None]], axis=1)
        mixed = frame[low] * (1 - part)[:, None] + frame[low + 1] * part[:, None]
        return np.asarray(mixed[:, :2] + mixed[:, 2:4] * (mixed[:, 4] * v)[:, None])

    def band(self, low: float, high: float, *, start: float = 0.0, end: float = 1.0) -> Points:
        """Returns the outline of the strip between two values of `v`, from `start` to `end` along the tube."""
        last = len(self.radius) - 1
        first = min(round(start * last), last - 1)
        part = slice(first, max(round(end * last), first + 1) + 1)
        centre, reach = self.centre[part], self.across[part] * self.radius[part, None]
        return np.concatenate([centre + high * reach, (centre + low * reach)[::-1]])

    def outline(self) -> Points:
        """Returns the outline, with round ends."""
        reach = self.across * self.radius[:, None]
        return np.concatenate([self.centre + reach, self._cap(-1), (self.centre - reach)[::-1], self._cap(0)])

    def _cap(self, end: int) -> Points:
        """Returns the half circle that closes one end, in outline order."""
        x, y = self.across[end] * (self.radius[end] * (1 if end == -1 else -1))
        return np.asarray(self.centre[end] + CAP @ np.array([[x, y], [y, -x]]))


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
