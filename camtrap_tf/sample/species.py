"""The animals of the sample: names, and the body plan from which each is drawn.

Lengths are in heights of the back above the ground, so an animal is one unit tall at its back; x points to its head.
"""

from __future__ import annotations

from dataclasses import dataclass

BLANK = "blank"

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Species:
    """An animal: what it is called, and how it is built.

    Attributes:
        name: class in the sample.
        scientific_name: in Camtrap DP.
        taxon_class: `Mammalia` or `Aves`.
        size: drawn height of the back, relative to a zebra's (real ratios, compressed).
        body: centre line from rump to chest; `body_radii` the half thickness along it.
        hips, shoulders: where hind and front legs begin; two-legged animals have `hips` alone.
        leg_radii: half thickness at the top, knee and foot.
        neck_base: where the neck leaves the body; `neck_radii` half thickness there and at the head.
        head_up, head_down: the head's joint with the neck, alert and feeding.
        head_length, head_radii: from that joint to the muzzle.
        tail: points from its root on, relative to the rump; `tail_radius` half thickness.
        coat: name of the pattern in `figures`.
        colours: base, pattern, belly, mane and extremities.
        ears: length, width, and angle above the horizontal in degrees.
        bulk: how far the legs of a pair stand apart.
    """

    name: str
    scientific_name: str
    taxon_class: str = "Mammalia"
    size: float
    body: tuple[Point, ...]
    body_radii: tuple[float, ...]
    hips: Point
    shoulders: Point | None
    leg_radii: tuple[float, float, float]
    neck_base: Point
    neck_radii: tuple[float, float]
    head_up: Point
    head_down: Point
    head_length: float
    head_radii: tuple[float, float]
    head_angle: float = -35.0
    tail: tuple[Point, ...]
    tail_radius: float = 0.02
    coat: str
    colours: tuple[Colour, Colour, Colour, Colour]
    ears: tuple[float, float, float] = (0.14, 0.04, 70.0)
    bulk: float = 0.1


ZEBRA = Species(
    name="zebra",
    scientific_name="Equus quagga",
    size=1.0,
    body=((-0.52, 0.80), (-0.28, 0.80), (0.08, 0.76), (0.36, 0.80)),
    body_radii=(0.17, 0.205, 0.215, 0.17),
    hips=(-0.46, 0.72),
    shoulders=(0.34, 0.70),
    leg_radii=(0.105, 0.042, 0.034),
    neck_base=(0.36, 0.84),
    neck_radii=(0.155, 0.085),
    head_up=(0.66, 1.24),
    head_down=(0.72, 0.30),
    head_length=0.33,
    head_radii=(0.088, 0.052),
    tail=((-0.02, 0.06), (-0.12, -0.10), (-0.14, -0.36)),
    tail_radius=0.02,
    coat="stripes",
    colours=((232, 226, 212), (28, 25, 24), (236, 230, 218), (24, 22, 22)),
    ears=(0.13, 0.035, 80.0),
)

GIRAFFE = Species(
    name="giraffe",
    scientific_name="Giraffa camelopardalis",
    size=1.25,
    body=((-0.38, 0.84), (-0.15, 0.86), (0.12, 0.87), (0.28, 0.93)),
    body_radii=(0.11, 0.145, 0.16, 0.14),
    hips=(-0.34, 0.78),
    shoulders=(0.25, 0.82),
    leg_radii=(0.075, 0.033, 0.026),
    neck_base=(0.27, 0.98),
    neck_radii=(0.125, 0.052),
    head_up=(0.66, 1.78),
    head_down=(0.78, 0.26),
    head_length=0.24,
    head_radii=(0.058, 0.034),
    head_angle=-22.0,
    tail=((-0.01, 0.04), (-0.07, -0.12), (-0.08, -0.36)),
    tail_radius=0.013,
    coat="patches",
    colours=((226, 196, 138), (140, 78, 32), (232, 212, 168), (96, 58, 30)),
    ears=(0.09, 0.028, 30.0),
    bulk=0.08,
)

ELEPHANT = Species(
    name="elephant",
    scientific_name="Loxodonta africana",
    size=1.45,
    body=((-0.48, 0.62), (-0.22, 0.66), (0.10, 0.66), (0.34, 0.70)),
    body_radii=(0.25, 0.31, 0.31, 0.25),
    hips=(-0.44, 0.55),
    shoulders=(0.32, 0.55),
    leg_radii=(0.145, 0.105, 0.10),
    neck_base=(0.38, 0.76),
    neck_radii=(0.22, 0.19),
    head_up=(0.58, 0.84),
    head_down=(0.60, 0.66),
    head_length=0.16,
    head_radii=(0.185, 0.12),
    head_angle=-60.0,
    tail=((-0.17, 0.04), (-0.24, -0.16), (-0.22, -0.40)),
    tail_radius=0.02,
    coat="wrinkles",
    colours=((134, 126, 120), (104, 97, 92), (112, 105, 100), (236, 228, 206)),
    ears=(0.30, 0.24, 200.0),
    bulk=0.14,
)

GAZELLE = Species(
    name="gazelle",
    scientific_name="Eudorcas thomsonii",
    size=0.66,
    body=((-0.42, 0.82), (-0.18, 0.82), (0.12, 0.80), (0.33, 0.84)),
    body_radii=(0.135, 0.145, 0.16, 0.125),
    hips=(-0.38, 0.76),
    shoulders=(0.30, 0.76),
    leg_radii=(0.085, 0.026, 0.022),
    neck_base=(0.34, 0.90),
    neck_radii=(0.095, 0.052),
    head_up=(0.56, 1.26),
    head_down=(0.68, 0.22),
    head_length=0.23,
    head_radii=(0.066, 0.034),
    head_angle=-30.0,
    tail=((-0.02, 0.02), (-0.09, -0.06), (-0.10, -0.18)),
    tail_radius=0.026,
    coat="flank",
    colours=((206, 146, 82), (42, 30, 26), (246, 240, 228), (38, 32, 28)),
    ears=(0.15, 0.035, 150.0),
    bulk=0.07,
)

WARTHOG = Species(
    name="warthog",
    scientific_name="Phacochoerus africanus",
    size=0.56,
    body=((-0.50, 0.68), (-0.20, 0.68), (0.18, 0.68), (0.46, 0.70)),
    body_radii=(0.20, 0.265, 0.275, 0.21),
    hips=(-0.48, 0.56),
    shoulders=(0.40, 0.56),
    leg_radii=(0.12, 0.052, 0.042),
    neck_base=(0.48, 0.72),
    neck_radii=(0.20, 0.165),
    head_up=(0.68, 0.72),
    head_down=(0.74, 0.40),
    head_length=0.46,
    head_radii=(0.175, 0.085),
    head_angle=-28.0,
    tail=((-0.16, 0.08), (-0.24, 0.40), (-0.22, 0.72)),
    tail_radius=0.018,
    coat="bristles",
    colours=((126, 104, 88), (92, 74, 62), (120, 102, 88), (70, 40, 26)),
    ears=(0.12, 0.05, 120.0),
    bulk=0.11,
)

HYENA = Species(
    name="hyena",
    scientific_name="Crocuta crocuta",
    size=0.74,
    body=((-0.50, 0.62), (-0.24, 0.70), (0.10, 0.76), (0.38, 0.82)),
    body_radii=(0.15, 0.195, 0.22, 0.19),
    hips=(-0.46, 0.56),
    shoulders=(0.36, 0.70),
    leg_radii=(0.105, 0.05, 0.046),
    neck_base=(0.42, 0.88),
    neck_radii=(0.175, 0.135),
    head_up=(0.70, 1.00),
    head_down=(0.76, 0.34),
    head_length=0.25,
    head_radii=(0.125, 0.078),
    head_angle=-20.0,
    tail=((-0.11, 0.02), (-0.22, -0.10), (-0.24, -0.30)),
    tail_radius=0.04,
    coat="spots",
    colours=((188, 158, 112), (66, 48, 34), (176, 148, 106), (44, 34, 28)),
    ears=(0.11, 0.06, 95.0),
)

OSTRICH = Species(
    name="ostrich",
    scientific_name="Struthio camelus",
    taxon_class="Aves",
    size=1.05,
    body=((-0.40, 0.84), (-0.18, 0.82), (0.08, 0.80), (0.24, 0.82)),
    body_radii=(0.10, 0.205, 0.215, 0.12),
    hips=(-0.02, 0.70),
    shoulders=None,
    leg_radii=(0.105, 0.032, 0.026),
    neck_base=(0.27, 0.88),
    neck_radii=(0.06, 0.03),
    head_up=(0.42, 1.56),
    head_down=(0.62, 0.12),
    head_length=0.15,
    head_radii=(0.048, 0.018),
    head_angle=-8.0,
    tail=((0.04, 0.02), (-0.10, 0.06), (-0.17, 0.0)),
    tail_radius=0.07,
    coat="plumes",
    colours=((34, 30, 30), (18, 16, 18), (44, 38, 38), (214, 158, 142)),
    ears=(0.0, 0.0, 0.0),
    bulk=0.1,
)

SPECIES: dict[str, Species] = {one.name: one for one in (ELEPHANT, GAZELLE, GIRAFFE, HYENA, OSTRICH, WARTHOG, ZEBRA)}
"""Every animal by its class name."""

POSTURES = ("standing", "grazing", "lying")
BEHAVIOURS = ("standing", "moving", "eating", "resting")
