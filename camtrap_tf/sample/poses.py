"""How animals hold themselves: from a body plan and a pose to the tubes of neck, head and legs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from camtrap_tf.sample.shapes import Points, Tube, tube
from camtrap_tf.sample.species import Colour, Point, Species


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How one animal holds itself in one frame.

    Attributes:
        posture: `standing`, `grazing` or `lying`.
        stride: how far legs swing, in figure units; 0 when it stays where it is.
        phase: of the walk cycle, in radians.
        head: small turn of the head, in [-1, 1].
        tail: swing of the tail, in [-1, 1].
        build: relative length of neck and legs, about 1.
        tint: brightness of the coat, about 1.
        variant: seed of its coat pattern; also tells sexes apart where they differ.
    """

    posture: str
    stride: float = 0.0
    phase: float = 0.0
    head: float = 0.0
    tail: float = 0.0
    build: float = 1.0
    tint: float = 1.0
    variant: int = 0


@dataclass(frozen=True, slots=True)
class Patch:
    """A filled polygon in figure units."""

    points: Points
    colour: Colour


@dataclass(slots=True)
class Figure:
    """A posed animal while it is put together.

    Attributes:
        patches: what is painted, far to near.
        eye: where the eye is, for the shine of a flash at night.
    """

    species: Species
    pose: Pose
    patches: list[Patch] = field(default_factory=list)
    eye: Point = (0.0, 0.0)

    def paint(self, points: Points, colour: Colour, shade: float = 1.0) -> None:
        """Adds a polygon, its colour brightened or darkened by the coat's tint and `shade`."""
        factor = self.pose.tint * shade
        red, green, blue = (min(255, max(0, round(part * factor))) for part in colour)
        self.patches.append(Patch(points, (red, green, blue)))

    def paint_round(self, shape: Tube, colour: Colour, shade: float = 1.0, *, contrast: float = 0.16) -> None:
        """Paints a tube as something round that is lit from above."""
        self.paint(shape.outline(), colour, shade)
        upper, lower = (0.35, 0.95), (-1.0, -0.5)
        if shape.across[len(shape.across) // 2][1] < -0.2:
            upper, lower = (-0.95, -0.35), (0.5, 1.0)
        self.paint(shape.band(*upper), colour, shade * (1 + 0.5 * contrast))
        self.paint(shape.band(*lower), colour, shade * (1 - contrast))


def between(one: Point, other: Point, part: float) -> Point:
    """Returns the point that is `part` of the way from one to the other."""
    return (one[0] + (other[0] - one[0]) * part, one[1] + (other[1] - one[1]) * part)


def drop_of(species: Species, pose: Pose) -> float:
    """Returns how far the body sinks: to the ground when the animal lies, and a little with shorter legs."""
    if pose.posture != "lying":
        return 1 - pose.build if pose.build < 1 else 0.0
    lowest = min(y - radius for (_, y), radius in zip(species.body, species.body_radii, strict=True))
    return lowest - 0.015


def head_of(species: Species, pose: Pose, drop: float) -> tuple[Point, Point]:
    """Returns where the neck meets the head, and the muzzle."""
    base_x, base_y = species.neck_base[0], species.neck_base[1] - drop
    up_x, up_y = species.head_up[0] - species.neck_base[0], species.head_up[1] - species.neck_base[1]
    length = math.hypot(up_x, up_y) * pose.build
    if pose.posture == "grazing" or (pose.posture == "lying" and pose.head < -0.9):
        joint_y = species.head_down[1]
        reach = math.sqrt(max(length**2 - (base_y - joint_y) ** 2, (0.5 * length) ** 2, 0.02))
        joint = (base_x + reach + 0.03 * pose.head, joint_y)
        angle = -62.0 if species.coat not in {"wrinkles", "bristles"} else -52.0
    else:
        turn = math.radians(7.0 * pose.head - 5.0 * bool(pose.stride))
        across = up_x * math.cos(turn) - up_y * math.sin(turn)
        along = up_x * math.sin(turn) + up_y * math.cos(turn)
        joint = (base_x + across * pose.build, base_y + along * pose.build)
        angle = species.head_angle + 10.0 * pose.head
    end = (
        joint[0] + species.head_length * math.cos(math.radians(angle)),
        joint[1] + species.head_length * math.sin(math.radians(angle)),
    )
    return joint, end


def head_radii(species: Species) -> tuple[float, float, float]:
    """Returns the half thickness of the head from its joint to the muzzle."""
    first, last = species.head_radii
    return (first, 0.45 * first + 0.55 * last, last)


def neck_of(species: Species, pose: Pose, drop: float, joint: Point) -> Tube:
    """Returns the neck, which leaves the body forwards and reaches the head bent."""
    base = (species.neck_base[0], species.neck_base[1] - drop)
    thick, thin = species.neck_radii
    lowered = joint[1] < base[1] - 0.1
    root = (base[0] - (0.16 if lowered else 0.10), base[1] - (0.03 if lowered else 0.06))
    if lowered:
        base = (base[0] + 0.02, base[1] - 0.09)
    middle = between(base, joint, 0.5)
    sag = -0.035 if lowered else 0.05
    middle = (middle[0] + 0.6 * abs(sag), middle[1] - sag)
    return tube([root, base, middle, joint], (thick * 1.05, thick, 0.5 * (thick + thin), thin))


def legs_of(species: Species, pose: Pose, drop: float, *, far: bool) -> Iterable[tuple[Tube, bool]]:
    """Yields the legs of one side, hind leg first, each with whether it is a hind leg."""
    pairs = [(species.hips, True)] + ([(species.shoulders, False)] if species.shoulders else [])
    for (x, y), hind in pairs:
        top, knee, foot = species.leg_radii
        if not hind:
            top *= 0.86
        if pose.posture == "lying":
            points = _folded_leg(x, y - drop, species, hind=hind, far=far)
            yield tube(points, (top * 1.05, top * 0.8, knee * 0.95, foot)), hind
            continue
        phase = pose.phase + (0.0 if far else math.pi) + (0.0 if hind else 0.5 * math.pi)
        side = species.bulk * (0.55 if far else -0.45) * (1 if hind else -1)
        swing = pose.stride * math.sin(phase)
        lift = 0.30 * pose.stride * max(0.0, math.cos(phase))
        foot_x, foot_y = x + side + swing, foot + (0.02 if far else 0.0) + lift
        if pose.posture == "grazing" and species.coat == "patches" and not hind:
            foot_x += 0.12 if far else -0.16  # a giraffe has to spread its front legs to reach the ground
        yield (
            tube(*_straight_leg(x, y - drop, foot_x, foot_y, (top, knee, foot), hind=hind, bird=species.shoulders is None)),
            hind,
        )


def _straight_leg(
    x: float, y: float, foot_x: float, foot_y: float, radii: tuple[float, float, float], *, hind: bool, bird: bool
) -> tuple[list[Point], tuple[float, ...]]:
    """Returns control points and radii of a leg that stands or swings."""
    top, knee, foot = radii
    bend = (-0.07 if hind else 0.02) if not bird else -0.06
    joint = between((x, y), (foot_x, foot_y), 0.55)
    thigh = between((x, y), (foot_x, foot_y), 0.25)
    fetlock = between((x, y), (foot_x, foot_y), 0.9)
    points = [
        (x, y),
        (thigh[0] - 0.25 * bend, thigh[1]),
        (joint[0] + bend, joint[1]),
        (fetlock[0] + 0.35 * bend, fetlock[1]),
        (foot_x + 0.02, foot_y),
    ]
    return points, (top, 0.72 * top, knee, foot, foot * 1.2)


def _folded_leg(x: float, y: float, species: Species, *, hind: bool, far: bool) -> list[Point]:
    """Returns control points of a leg that is folded under a lying animal."""
    reach = min(0.30, 0.5 * species.hips[1])
    ground = 0.055 if far else 0.035
    if species.shoulders is None:
        return [(x, y), (x + 0.10, y - 0.05), (x + 0.16, ground + 0.02), (x - 0.08, ground)]
    if hind:
        return [(x, y), (x + 0.45 * reach, y - 0.02), (x + 0.75 * reach, ground + 0.03), (x + 0.15 * reach, ground)]
    return [(x - 0.02, y), (x + 0.35 * reach, 0.55 * y), (x + 0.9 * reach, ground + 0.02), (x + 0.1 * reach, ground)]
