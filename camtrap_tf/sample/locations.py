"""The camera sites of the sample: where each stands, what grows there, and which animals come by.

Every site has favourite animals, so its background tells much about what will be seen there. A model that is tested
at the sites it was trained at profits from that; a model that is tested elsewhere does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from camtrap_tf.sample.seeds import generator
from camtrap_tf.sample.species import SPECIES, Colour

LOCATION_COUNT = 32
HABITATS = ("savannah", "plain", "woodland", "kopje", "riverbed", "thicket")

HABITAT_COLOURS: dict[str, tuple[Colour, Colour, Colour]] = {
    "savannah": ((186, 160, 98), (168, 136, 78), (122, 124, 62)),
    "plain": ((142, 152, 84), (124, 134, 66), (104, 128, 58)),
    "woodland": ((112, 104, 70), (94, 84, 56), (62, 86, 44)),
    "kopje": ((176, 150, 116), (156, 124, 92), (110, 112, 66)),
    "riverbed": ((200, 182, 148), (182, 160, 124), (96, 118, 66)),
    "thicket": ((134, 124, 80), (116, 100, 62), (76, 100, 48)),
}
"""Ground far away, ground near by, leaves."""

GROUP_WEIGHT = 0.70
"""Share of a site's animals that are its favourite kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """One camera site.

    Attributes:
        index: 0, 1, …; its name follows from it.
        habitat: one of `HABITATS`.
        horizon: row of the horizon, as a share of the picture's height.
        depth_scale: rows below the horizon at which an animal of height 1 px stands; a low camera has a small one.
        hue: factors on red, green and blue of everything that grows there.
        latitude, longitude: made up, in degrees.
        camera_height_m: above the ground.
        heading_degrees: where the camera looks, clockwise from north.
        activity: relative number of events.
        blank_share: share of events in which nothing is seen.
        species_share: species → share among the events with animals; adds up to 1.
    """

    index: int
    habitat: str
    horizon: float
    depth_scale: float
    hue: tuple[float, float, float]
    latitude: float
    longitude: float
    camera_height_m: float
    heading_degrees: int
    activity: float
    blank_share: float
    species_share: dict[str, float]

    @property
    def name(self) -> str:
        """Name of the site, e.g. `loc07`."""
        return f"loc{self.index + 1:02d}"


@lru_cache(maxsize=4)
def locations(seed: int) -> tuple[Location, ...]:
    """Returns the camera sites of a sample."""
    dice = generator(seed, "locations")
    names = sorted(SPECIES)
    habitats = [HABITATS[i % len(HABITATS)] for i in range(LOCATION_COUNT)]
    favourites = [names[i % len(names)] for i in range(LOCATION_COUNT)]
    dice.shuffle(habitats)
    dice.shuffle(favourites)
    return tuple(_location(seed, i, habitats[i], favourites[i]) for i in range(LOCATION_COUNT))


def _location(seed: int, index: int, habitat: str, favourite: str) -> Location:
    dice = generator(seed, "location", index)
    others = dice.dirichlet(np.full(len(SPECIES), 1.2)) * (1 - GROUP_WEIGHT)
    share = {name: float(part) for name, part in zip(sorted(SPECIES), others, strict=True)}
    share[favourite] += GROUP_WEIGHT
    return Location(
        index=index,
        habitat=habitat,
        horizon=float(dice.uniform(0.30, 0.46)),
        depth_scale=float(dice.uniform(0.85, 1.15)),
        hue=(float(dice.uniform(0.90, 1.08)), float(dice.uniform(0.95, 1.07)), float(dice.uniform(0.85, 1.10))),
        latitude=round(-2.30 - 0.04 * float(dice.uniform(0, 5)), 4),
        longitude=round(34.70 + 0.04 * float(dice.uniform(0, 8)), 4),
        camera_height_m=round(float(dice.uniform(0.6, 1.2)), 1),
        heading_degrees=int(dice.integers(0, 360)),
        activity=float(dice.uniform(0.6, 1.4)),
        blank_share=float(dice.uniform(0.08, 0.24)),
        species_share=share,
    )
