"""Coat patterns and the parts that tell animals apart: stripes, patches, spots, ears, horns, tusks, manes, trunk."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from camtrap_tf.sample.poses import Figure
from camtrap_tf.sample.shapes import Points, Tube, tube
from camtrap_tf.sample.species import Colour

EYE: Colour = (16, 13, 12)
KERATIN: Colour = (52, 46, 42)
IVORY: Colour = (240, 232, 208)

DISC: Points = np.stack([np.cos(np.arange(8) * math.pi / 4), np.sin(np.arange(8) * math.pi / 4)], axis=1)
"""Corners of an octagon around the origin."""

Coat = Callable[[Figure, str, Tube, float], None]
"""Paints the pattern of one part (`body`, `neck`, `head`, `leg`, `haunch`), given its tube and shade."""


def _dice(figure: Figure, part: str) -> np.random.Generator:
    """Returns the randomness of one part of one animal's coat; the same in each of its frames."""
    return np.random.default_rng([figure.pose.variant, *part.encode()])


def _stripes(figure: Figure, part: str, shape: Tube, shade: float) -> None:
    """Zebra: dark bands across, tapering towards the belly; finer on the legs."""
    dice = _dice(figure, part)
    count, thick, start = {"body": (10, 0.048, 0.02), "neck": (7, 0.062, 0.2), "head": (5, 0.055, 0.05)}.get(
        part, (9, 0.036, 0.12)
    )
    places = np.linspace(start, 0.97 if part != "head" else 0.62, count) + dice.normal(0, 0.008, count)
    lean = dice.normal(0.02, 0.015, count)
    width = thick * dice.uniform(0.75, 1.2, count) * (0.5 if part in {"body", "neck", "head"} else 0.75)
    middle = places[:, None] + np.array([0.0, 0.35, 0.7, 1.0]) * lean[:, None]
    half = width[:, None] * np.array([1.0, 0.9, 0.65, 0.25])
    v = np.array([0.99, 0.4, -0.3, -0.85]) * _upwards(shape)
    along = np.concatenate([middle - half, (middle + half)[:, ::-1]], axis=1)
    across = np.tile(np.concatenate([v, v[::-1]]), count)
    for points in shape.at(along.ravel(), across).reshape(count, -1, 2):
        figure.paint(points, figure.species.colours[1], shade)


def _patches(figure: Figure, part: str, shape: Tube, shade: float) -> None:
    """Giraffe: brown patches with pale lines between; none on the lower legs."""
    dice = _dice(figure, part)
    rows, columns, end = {"body": (4, 8, 1.0), "neck": (3, 11, 0.98), "head": (0, 0, 0.0)}.get(part, (2, 6, 0.5))
    if not rows:
        return
    row, column = (grid.ravel() for grid in np.mgrid[0:rows, 0:columns])
    count = rows * columns
    u = (column + 0.5 * (row % 2) + dice.uniform(-0.12, 0.12, count)) / columns * end
    v = -0.98 + (row + 0.5 + dice.uniform(-0.1, 0.1, count)) * 1.96 / rows
    size = dice.uniform(0.85, 1.08, count)[:, None] * dice.uniform(0.82, 1.12, (count, 6))
    angles = np.arange(6) * math.pi / 3 + dice.uniform(0, 1, count)[:, None]
    along = np.clip(u[:, None] + 0.40 * end / columns * size * np.cos(angles), 0, 1)
    across = np.clip(v[:, None] + 0.80 / rows * size * np.sin(angles), -0.97, 0.97)
    shades = shade * dice.uniform(0.88, 1.12, count)
    for points, brown in zip(shape.at(along.ravel(), across.ravel()).reshape(count, 6, 2), shades, strict=True):
        figure.paint(points, figure.species.colours[1], float(brown))


def _spots(figure: Figure, part: str, shape: Tube, shade: float) -> None:
    """Hyena: dark spots of many sizes, and dark lower legs."""
    dice = _dice(figure, part)
    count, size = {"body": (30, 0.030), "neck": (8, 0.022), "head": (0, 0.0), "haunch": (9, 0.022)}.get(part, (5, 0.018))
    u = dice.uniform(0.03, 0.97 if part in {"body", "neck"} else 0.5, count)
    centres = shape.at(u, dice.uniform(-0.75, 0.9, count))
    sizes, squeezes = size * dice.uniform(0.6, 1.2, count), dice.uniform(0.6, 1.0, count)
    for centre, radius, squeeze in zip(centres, sizes, squeezes, strict=True):
        figure.paint(_disc(centre, float(radius), squeeze=float(squeeze)), figure.species.colours[1], shade)
    if part in {"leg", "haunch"}:
        figure.paint(shape.band(-1.0, 1.0, start=0.72, end=1.0), figure.species.colours[1], shade * 1.15)


def _flank(figure: Figure, part: str, shape: Tube, shade: float) -> None:
    """Gazelle: white belly and rump, a black band between belly and tan back."""
    if part == "body":
        white, dark = figure.species.colours[2], figure.species.colours[1]
        figure.paint(shape.band(-1.0, -0.45), white, shade)
        figure.paint(shape.band(-0.55, -0.14, start=0.08, end=0.92), dark, shade)
        figure.paint(_disc(shape.at(0.0, 0.1)[0] + np.array([-0.06, 0.0]), 0.09, squeeze=0.9), white, shade)
    elif part in {"leg", "haunch"}:
        figure.paint(shape.band(-1.0, -0.2, start=0.3, end=1.0), figure.species.colours[2], shade * 0.95)


def _wrinkles(figure: Figure, part: str, shape: Tube, shade: float) -> None:
    """Elephant: a few folds of skin, and toe nails."""
    dice = _dice(figure, part)
    if part == "body":
        for _ in range(7):
            u, v = dice.uniform(0.1, 0.9), dice.uniform(-0.6, 0.7)
            line = shape.at(np.array([u - 0.012, u, u + 0.008]), np.array([v + 0.22, v, v - 0.22]))
            figure.paint(tube(line, (0.004, 0.008, 0.004)).outline(), figure.species.colours[1], shade)
    elif part in {"leg", "haunch"} and figure.pose.posture != "lying":
        foot = shape.at(0.98, 0.0)[0]
        for offset in (-0.06, 0.0, 0.06):
            figure.paint(_disc(foot + np.array([offset, -0.06]), 0.024), (176, 166, 152), shade)


def _bristles(figure: Figure, part: str, shape: Tube, shade: float) -> None:
    """Warthog: thin dark hairs over grey skin."""
    dice = _dice(figure, part)
    if part in {"body", "haunch"}:
        for _ in range(16 if part == "body" else 4):
            u, v = dice.uniform(0.05, 0.95), dice.uniform(-0.7, 0.8)
            line = shape.at(np.array([u, u - 0.05]), np.array([v, v - 0.10]))
            figure.paint(tube(line, (0.007, 0.003)).outline(), figure.species.colours[1], shade)


def _plumes(figure: Figure, part: str, shape: Tube, shade: float) -> None:
    """Ostrich: loose feathers below the body, white ones at the tip of the wing; scaly bare legs."""
    dice = _dice(figure, part)
    if part != "body":
        return
    dark = figure.species.colours[1] if figure.pose.variant % 5 > 1 else (92, 80, 70)
    ground = 0.02
    for _ in range(16):
        u = dice.uniform(0.02, 0.85)
        tip = shape.at(u - 0.10, -1.15)[0]
        tip[1] = max(tip[1] - dice.uniform(0.0, 0.05), ground)
        line = np.stack([shape.at(u, dice.uniform(-0.6, 0.2))[0], tip])
        figure.paint(tube(line, (0.028, 0.010)).outline(), dark, shade * dice.uniform(0.9, 1.25))
    pale = (236, 232, 222) if figure.pose.variant % 5 > 1 else (164, 152, 138)
    for lift in (-0.55, -0.25, 0.05):
        line = shape.at(np.array([0.46, 0.25, 0.06]), np.array([lift + 0.1, lift - 0.05, lift - 0.15]))
        figure.paint(tube(line, (0.022, 0.035, 0.018)).outline(), pale, shade * (1 + 0.1 * lift))


COATS: dict[str, Coat] = {
    "stripes": _stripes,
    "patches": _patches,
    "spots": _spots,
    "flank": _flank,
    "wrinkles": _wrinkles,
    "bristles": _bristles,
    "plumes": _plumes,
}


def _upwards(shape: Tube) -> float:
    """Returns 1 where positive `v` is the upper side of a tube, else -1."""
    return 1.0 if shape.across[len(shape.across) // 2][1] >= -0.05 else -1.0


def _disc(centre: Points, radius: float, *, squeeze: float = 1.0) -> Points:
    return np.asarray(centre + DISC * (radius, squeeze * radius))


def _place(shape: Tube, u: float, v: float) -> tuple[float, float]:
    x, y = shape.at(u, v * _upwards(shape))[0]
    return float(x), float(y)


def _spike(
    figure: Figure, start: tuple[float, float], steps: list[tuple[float, float]], radii: tuple[float, ...], colour: Colour
) -> None:
    """Paints something thin that leaves a point in steps: a horn, a tusk, an ear."""
    points = [start]
    for x, y in steps:
        points.append((points[-1][0] + x, points[-1][1] + y))
    figure.paint(tube(points, radii).outline(), colour)


def features(figure: Figure, *, body: Tube, neck: Tube, head: Tube, drop: float) -> None:
    """Paints head and face, and what stands off the body.

    Args:
        figure: the animal so far.
        body, neck, head: its tubes.
        drop: how far the body has sunk, for what must reach the ground.
    """
    coat = figure.species.coat
    if coat in {"stripes", "patches", "spots"}:
        _mane(figure, neck)
    if coat == "bristles":
        _crest(figure, body)
    if coat not in {"wrinkles", "plumes"}:
        _ear(figure, head, 0.72)
    if coat in {"flank", "patches"}:
        _horns(figure, head)
    colour = figure.species.colours[3] if coat == "plumes" else figure.species.colours[0]
    if coat == "plumes" and figure.pose.variant % 5 <= 1:
        colour = (170, 146, 130)
    figure.paint_round(head, colour)
    COATS[coat](figure, "head", head, 1.0)
    _face(figure, head)
    if coat == "wrinkles":
        _elephant_head(figure, head)
    elif coat != "plumes":
        _ear(figure, head, 1.0)
    if coat == "bristles":
        _warthog_tusks(figure, head)


def _mane(figure: Figure, neck: Tube) -> None:
    """A standing mane along the back of the neck; a zebra's carries on its stripes."""
    up = _upwards(neck)
    high = 1.42 if figure.species.coat == "stripes" else 1.22
    for order, start in enumerate(np.linspace(0.22, 0.92, 9)):
        dark = figure.species.coat != "stripes" or order % 2 == 0
        u = np.array([start, start + 0.085, start + 0.085, start])
        colour = figure.species.colours[3] if dark else figure.species.colours[0]
        figure.paint(neck.at(u, up * np.array([0.85, 0.85, high, high])), colour)


def _crest(figure: Figure, body: Tube) -> None:
    """A warthog's mane of long hair, from its shoulders along the back."""
    dice = _dice(figure, "crest")
    for u in np.linspace(0.35, 1.0, 13):
        start = body.at(u, 0.92)[0]
        end = start + np.array([-0.09, 0.10 * (0.5 + u) * dice.uniform(0.7, 1.1)])
        figure.paint(tube(np.stack([start, end]), (0.026, 0.008)).outline(), figure.species.colours[3])


def _ear(figure: Figure, head: Tube, shade: float) -> None:
    length, width, angle = figure.species.ears
    base = _place(head, 0.04, 0.75)
    turn = math.radians(angle + (14 if shade < 1 else 0) + 6 * figure.pose.head)
    tip = (base[0] + length * math.cos(turn), base[1] + length * math.sin(turn))
    middle = (0.5 * (base[0] + tip[0]), 0.5 * (base[1] + tip[1]))
    figure.paint(
        tube([base, middle, tip], (0.5 * width, width, 0.25 * width)).outline(), figure.species.colours[0], 0.9 * shade
    )
    if shade == 1:
        inner = tube([middle, tip], (0.5 * width, 0.15 * width))
        figure.paint(inner.outline(), figure.species.colours[3] if figure.species.coat != "bristles" else (90, 70, 62))


def _horns(figure: Figure, head: Tube) -> None:
    """A gazelle's ringed horns; the skin-covered knobs of a giraffe."""
    start = _place(head, 0.02, 0.8)
    if figure.species.coat == "patches":
        for shift, colour in ((-0.03, figure.species.colours[1]), (0.012, figure.species.colours[2])):
            _spike(figure, (start[0] + shift, start[1]), [(-0.015, 0.09)], (0.017, 0.014), colour)
            _spike(figure, (start[0] + shift - 0.015, start[1] + 0.09), [(-0.001, 0.012)], (0.021, 0.019), (50, 34, 24))
        return
    size = 1.0 if figure.pose.variant % 3 else 0.55
    for shift, colour in ((-0.03, KERATIN), (0.014, (34, 29, 27))):
        steps = [(-0.045 * size, 0.13 * size), (-0.045 * size, 0.11 * size), (0.035 * size, 0.10 * size)]
        _spike(figure, (start[0] + shift, start[1] - 0.01), steps, (0.026, 0.022, 0.017, 0.008), colour)


def _face(figure: Figure, head: Tube) -> None:
    species = figure.species
    big = species.head_radii[0]
    if species.coat in {"stripes", "spots"}:
        last = species.head_radii[1]
        radii = (last * 1.02, last * 0.95) if species.coat == "stripes" else (last * 0.45, last * 0.62)
        tip = head.at(np.array([0.80, 1.0]), np.array([0.0, 0.25 * _upwards(head) if species.coat == "spots" else 0.0]))
        figure.paint(tube(tip, radii).outline(), species.colours[3])
    elif species.coat == "flank":
        figure.paint(
            head.band(-0.05 if _upwards(head) > 0 else -0.35, 0.35 if _upwards(head) > 0 else 0.05, start=0.2),
            species.colours[1],
        )
        figure.paint(_disc(head.at(1.0, 0.0)[0], 0.03), species.colours[3])
    elif species.coat == "bristles":
        figure.paint(_disc(head.at(1.0, 0.0)[0], species.head_radii[1] * 0.9), (104, 82, 74))
        figure.paint(_disc(np.array(_place(head, 0.45, -0.55)), 0.045), (98, 78, 66))
    elif species.coat == "plumes":
        tip = head.at(np.array([0.55, 1.0]), np.zeros(2))
        figure.paint(tube(tip, (0.028, 0.016)).outline(), (196, 160, 110))
    eye = _place(head, 0.26 if species.coat != "plumes" else 0.12, 0.42)
    figure.eye = eye
    figure.paint(_disc(np.array(eye), max(0.013, 0.15 * big if big < 0.14 else 0.10 * big)), EYE)


def _elephant_head(figure: Figure, head: Tube) -> None:
    """Trunk, tusk and the great ear."""
    pose, grey = figure.pose, figure.species.colours[0]
    start = head.at(0.9, 0.0)[0]
    x, y = float(start[0]), float(start[1])
    feeding = pose.posture == "grazing" or (pose.posture == "lying" and pose.head < -0.9)
    low = 0.05
    if feeding:
        trunk = [
            (x, y),
            (x + 0.14, y * 0.62),
            (x + 0.22, 0.20),
            (x + 0.26, low),
            (x + 0.38, low + 0.01),
            (x + 0.42, low + 0.08),
        ]
    elif pose.posture == "lying":
        trunk = [
            (x, y),
            (x + 0.12, 0.6 * y),
            (x + 0.18, low + 0.05),
            (x + 0.33, low),
            (x + 0.45, low + 0.03),
            (x + 0.5, low + 0.08),
        ]
    else:
        swing = 0.06 * pose.head + 0.05 * bool(pose.stride)
        trunk = [
            (x, y),
            (x + 0.09, 0.74 * y),
            (x + 0.10 + swing, 0.45 * y),
            (x + 0.07 + swing, 0.24 * y),
            (x + 0.12 + swing, 0.13 * y),
            (x + 0.19 + swing, 0.14 * y),
        ]
    figure.paint_round(tube(trunk, (0.115, 0.09, 0.066, 0.052, 0.043, 0.038)), grey, 0.97)
    mouth = _place(head, 0.95, -0.35)
    if pose.variant % 4:
        _spike(figure, mouth, [(0.10, -0.12), (0.14, -0.03), (0.09, 0.06)], (0.028, 0.025, 0.019, 0.007), IVORY)
    root = head.at(0.0, 0.0)[0] + np.array([-0.02, 0.12])
    flap = 0.03 * pose.tail
    ear = [
        (0.0, 0.02),
        (-0.16, 0.08),
        (-0.31 - flap, 0.0),
        (-0.33 - flap, -0.2),
        (-0.22, -0.36),
        (-0.08, -0.46),
        (-0.01, -0.30),
        (0.03, -0.12),
    ]
    edge = np.array([(root[0] + ex, root[1] + ey) for ex, ey in ear])
    figure.paint(edge, grey, 0.80)
    figure.paint(root + 0.86 * (edge - root) + np.array([0.0, -0.02]), grey, 0.93)


def _warthog_tusks(figure: Figure, head: Tube) -> None:
    for u, size in ((0.80, 1.0), (0.88, 0.7)):
        start = _place(head, u, -0.2)
        _spike(
            figure,
            start,
            [(0.07 * size, -0.01), (0.05 * size, 0.09 * size), (-0.03 * size, 0.09 * size)],
            (0.022, 0.020, 0.015, 0.006),
            IVORY,
        )
