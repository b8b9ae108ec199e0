"""Animals as polygons: a body plan and a pose go in, coloured outlines come out, in the order in which they are painted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from camtrap_tf.sample.coats import COATS, features
from camtrap_tf.sample.poses import Figure, Patch, Pose, between, drop_of, head_of, head_radii, legs_of, neck_of
from camtrap_tf.sample.shapes import tube
from camtrap_tf.sample.species import Colour, Species

FAR_SHADE = 0.68
"""How dark the legs on the far side are, relative to the near ones."""


def draw_figure(species: Species, pose: Pose) -> Figure:
    """Returns the polygons of an animal that faces right, its feet at y = 0.

    Args:
        species: its body plan.
        pose: how it holds itself.
    """
    figure = Figure(species, pose)
    drop = drop_of(species, pose)
    body = tube([(x, y - drop) for x, y in species.body], species.body_radii)
    head_joint, head_end = head_of(species, pose, drop)
    neck = neck_of(species, pose, drop, head_joint)
    head = tube([head_joint, between(head_joint, head_end, 0.5), head_end], head_radii(species))
    coat = COATS[species.coat]

    for leg, _ in legs_of(species, pose, drop, far=True):
        figure.paint_round(leg, _leg_colour(species, pose), FAR_SHADE)
        coat(figure, "leg", leg, FAR_SHADE)
    _paint_tail(figure, drop)
    near = list(legs_of(species, pose, drop, far=False))
    figure.paint_round(body, _body_colour(species, pose))
    coat(figure, "body", body, 1.0)
    for leg, hind in near:
        figure.paint_round(leg, _leg_colour(species, pose), contrast=0.1)
        coat(figure, "haunch" if hind else "leg", leg, 1.0)
    figure.paint_round(neck, _neck_colour(species, pose))
    coat(figure, "neck", neck, 1.0)
    features(figure, body=body, neck=neck, head=head, drop=drop)
    return figure


def _paint_tail(figure: Figure, drop: float) -> None:
    species, pose = figure.species, figure.pose
    if not species.tail:
        return
    root_x, root_y = species.body[0][0], species.body[0][1] - drop
    swing = 0.05 * pose.tail
    points = []
    for order, (x, y) in enumerate(species.tail):
        low = max(root_y + y, 0.03) if pose.posture == "lying" else root_y + y
        points.append((root_x + x + swing * order, low))
    thick = species.tail_radius
    tail = tube(points, (thick * 1.4, thick, thick * (1.0 if species.coat == "plumes" else 0.8)))
    colour = species.colours[3] if species.coat in {"bristles", "flank"} else _body_colour(species, pose)
    if species.coat == "plumes":
        colour = (226, 220, 208) if pose.variant % 5 > 1 else (150, 138, 124)
    figure.paint_round(tail, colour, 0.92)
    if species.coat in {"stripes", "patches", "wrinkles", "bristles", "spots"}:
        tuft = species.colours[3] if species.coat != "wrinkles" else (60, 54, 50)
        (x0, y0), (x1, y1) = points[-2], points[-1]
        end = (x1 + 0.22 * (x1 - x0), max(0.02, y1 + 0.22 * (y1 - y0)))
        figure.paint(tube([between((x0, y0), (x1, y1), 0.7), (x1, y1), end], (thick, thick * 2.0, thick * 0.6)).outline(), tuft)


def _body_colour(species: Species, pose: Pose) -> Colour:
    if species.coat == "plumes" and pose.variant % 5 <= 1:
        return (118, 104, 90)  # hens are brown
    return species.colours[0]


def _leg_colour(species: Species, pose: Pose) -> Colour:
    if species.coat == "plumes":
        return species.colours[3] if pose.variant % 5 > 1 else (176, 150, 134)
    if species.coat == "patches":
        return species.colours[2]
    return species.colours[0]


def _neck_colour(species: Species, pose: Pose) -> Colour:
    return _leg_colour(species, pose) if species.coat == "plumes" else species.colours[0]


def extent(patches: Iterable[Patch]) -> tuple[float, float, float, float]:
    """Returns least x, least y, greatest x and greatest y of some patches."""
    points = np.concatenate([patch.points for patch in patches])
    low, high = points.min(axis=0), points.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
