"""What happens before the cameras: who comes by, where and when, what it does, and what of that is written down.

Everything is decided here, in numbers, before anything is drawn. Events are numbered location by location, in time
order, as memory cards are read.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from camtrap_tf.sample.locations import Location, locations
from camtrap_tf.sample.poses import Pose
from camtrap_tf.sample.seeds import generator
from camtrap_tf.sample.species import BLANK, SPECIES, Species

FRAMES = 3
"""Pictures per event, a second apart."""

LABEL_TYPES = ("species", "count", "behaviour", "posture")
MISSING_SHARE = 0.10
"""Chance that a label is not given, for each label type by itself."""

BROKEN_SHARE = 0.0075
"""Share of pictures whose file is damaged."""

BREAKAGES = ("truncated", "empty", "text")

COUNT_SHARES = (0.44, 0.25, 0.15, 0.08, 0.05, 0.03)
"""Chance of 1, 2, … 6 animals."""

NIGHT_SHARE = {
    "elephant": 0.35,
    "gazelle": 0.25,
    "giraffe": 0.20,
    "hyena": 0.60,
    "ostrich": 0.10,
    "warthog": 0.15,
    "zebra": 0.35,
    BLANK: 0.35,
}
"""Chance that an event lies between 19 h and 6 h."""

FIRST_DAY = dt.datetime(2023, 6, 1)
DAYS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Individual:
    """One animal of an event, in its first frame.

    Attributes:
        species: class name.
        x: column of its middle, as a share of the picture's width.
        ground: row of its feet, as a share of the picture's height.
        height: of its back above the ground, as a share of the picture's height.
        facing: 1 to the right, -1 to the left.
        speed: heights of its back per second; 0 if it stays.
        pose: in its first frame.
    """

    species: str
    x: float
    ground: float
    height: float
    facing: int
    speed: float
    pose: Pose


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneEvent:
    """One event of the sample.

    Attributes:
        event_id: unique in the sample, e.g. `loc07_0012`.
        location: index of its camera site.
        time: of the first frame, local.
        night: whether it is dark, so that pictures are infrared.
        species: class name, or `blank`.
        behaviour, posture: of the animals; None in a blank event.
        individuals: the animals, far to near.
        labels: label type → class, without those that nobody gave.
        breakages: per frame, None or how its file is damaged.
    """

    event_id: str
    location: int
    time: dt.datetime
    night: bool
    species: str
    behaviour: str | None
    posture: str | None
    individuals: tuple[Individual, ...]
    labels: Mapping[str, str]
    breakages: tuple[str | None, ...]

    def frame_time(self, frame: int) -> dt.datetime:
        """Returns when a frame (0, 1, 2) was taken."""
        return self.time + dt.timedelta(seconds=frame)

    def file_name(self, frame: int) -> str:
        """Returns the path of a frame (0, 1, 2), relative to the sample's folder."""
        return f"images/{self.event_id.split('_')[0]}/{self.event_id}_{frame + 1}.jpg"


@lru_cache(maxsize=4)
def events_per_location(seed: int, events: int) -> tuple[int, ...]:
    """Returns how many events each camera site has; busy ones more, none without as long as there are enough."""
    activity = np.array([location.activity for location in locations(seed)])
    exact = activity / activity.sum() * events
    counts = np.floor(exact).astype(int)
    if events >= len(counts):
        counts = np.maximum(counts, 1)
    order = np.argsort(counts - exact, kind="stable")
    for place in np.resize(order, max(0, events - int(counts.sum()))):
        counts[place] += 1
    for place in np.resize(np.argsort(-counts, kind="stable"), max(0, int(counts.sum()) - events)):
        counts[place] -= 1
    return tuple(int(count) for count in counts)


@lru_cache(maxsize=4)
def broken_pictures(seed: int, events: int) -> Mapping[int, str]:
    """Returns the numbers of the damaged pictures in the sample, each with how it is damaged; one at least."""
    pictures = FRAMES * events
    chosen = generator(seed, "broken").choice(pictures, size=max(1, round(BROKEN_SHARE * pictures)), replace=False)
    return {int(number): BREAKAGES[order % len(BREAKAGES)] for order, number in enumerate(chosen)}


def scene_events(
    seed: int, events: int, *, location: int | None = None, first: int = 0, stop: int | None = None
) -> Iterator[SceneEvent]:
    """Yields the events of a sample, or some of one of its locations, in order.

    Args:
        seed: of the sample.
        events: how many the sample has in all.
        location: index of the one location to go through.
        first, stop: events of each location, from `first` up to but not including `stop`.
    """
    number = 0
    broken = broken_pictures(seed, events)
    for site, count in zip(locations(seed), events_per_location(seed, events), strict=True):
        if location is None or site.index == location:
            times = _times(seed, site.index, count)
            for order in range(first, count if stop is None else min(stop, count)):
                species, time, night = times[order]
                dice = generator(seed, "event", site.index, order)
                picture = FRAMES * (number + order)
                yield replace(
                    _event(dice, site, f"{site.name}_{order + 1:04d}", species, time, night),
                    breakages=tuple(broken.get(picture + frame) for frame in range(FRAMES)),
                )
        number += count


@lru_cache(maxsize=2)
def _times(seed: int, location: int, count: int) -> tuple[tuple[str, dt.datetime, bool], ...]:
    """Returns what comes by one site and when, in time order; the share of blanks and species is that of the site."""
    site = locations(seed)[location]
    dice = generator(seed, "times", location)
    names = [*SPECIES, BLANK]
    shares = [site.species_share[name] * (1 - site.blank_share) for name in SPECIES] + [site.blank_share]
    found = []
    for kind, day, moment, dark in zip(
        dice.choice(len(names), size=count, p=np.array(shares) / sum(shares)),
        dice.integers(0, DAYS, count),
        dice.random(count),
        dice.random(count),
        strict=True,
    ):
        species = names[int(kind)]
        night = bool(dark < NIGHT_SHARE[species])
        hour = (19 + 11 * moment) % 24 if night else 6 + 13 * moment
        time = FIRST_DAY + dt.timedelta(days=int(day), seconds=int(hour * 3600))
        found.append((species, time, night))
    return tuple(sorted(found, key=lambda one: one[1]))


def _event(
    dice: np.random.Generator, site: Location, event_id: str, species: str, time: dt.datetime, night: bool
) -> SceneEvent:
    if species == BLANK:
        individuals: tuple[Individual, ...] = ()
        behaviour = posture = None
        facts = {"species": BLANK}
    else:
        behaviour, posture = _doing(dice)
        count = 1 + int(dice.choice(len(COUNT_SHARES), p=COUNT_SHARES))
        individuals = _herd(dice, site, SPECIES[species], count, behaviour, posture)
        facts = {"species": species, "count": str(count), "behaviour": behaviour, "posture": posture}
    given = {label: dice.random() >= MISSING_SHARE for label in LABEL_TYPES}
    return SceneEvent(
        event_id=event_id,
        location=site.index,
        time=time,
        night=night,
        species=species,
        behaviour=behaviour,
        posture=posture,
        individuals=individuals,
        labels={label: value for label, value in facts.items() if given[label]},
        breakages=(None,) * FRAMES,
    )


def _doing(dice: np.random.Generator) -> tuple[str, str]:
    """Returns what the animals do and how they hold themselves."""
    pairs = {
        ("standing", "standing"): 0.27,
        ("moving", "standing"): 0.28,
        ("eating", "grazing"): 0.25,
        ("resting", "lying"): 0.14,
        ("eating", "lying"): 0.06,
    }
    return list(pairs)[int(dice.choice(len(pairs), p=list(pairs.values())))]


def _herd(
    dice: np.random.Generator, site: Location, species: Species, count: int, behaviour: str, posture: str
) -> tuple[Individual, ...]:
    """Returns the animals of an event, far to near; they stand side by side more than behind one another."""
    tallest = {"giraffe": 0.28, "elephant": 0.42}.get(species.name, 0.42)
    widest = 1.15 / (count * species.size)  # so that all of them fit side by side, nearly
    base = min(math.exp(dice.uniform(math.log(0.24), math.log(0.42))) * (1 - 0.055 * (count - 1)), tallest, widest)
    facing = 1 if dice.random() < 0.5 else -1
    slots = (np.arange(count) + 0.5 + dice.uniform(-0.25, 0.25, count)) / count
    spread = min(0.96, max(0.34 + 0.16 * count, count * species.size * base))
    start = dice.uniform(0.5 * spread, 1 - 0.5 * spread) - 0.5 * spread
    places = start + spread * slots
    speed = dice.uniform(0.32, 0.60) if behaviour == "moving" else 0.0
    herd = []
    for order in range(count):
        near = base * float(np.clip(1 + dice.normal(0, 0.10), 0.75, 1.3))
        height = near * species.size
        ground = min(site.horizon + site.depth_scale * near, 0.925)
        turned = facing if dice.random() < (0.97 if speed else 0.75) else -facing
        travel = speed * height * 0.75 * turned
        half = 0.42 * height
        x = float(np.clip(places[order], half + max(0.0, -2 * travel), 1 - half - max(0.0, 2 * travel)))
        alert = order > 0 and order < 0.5 * count and posture == "grazing" and dice.random() < 0.3
        pose = _pose(dice, "standing" if alert else posture, behaviour)
        herd.append(Individual(species=species.name, x=x, ground=ground, height=height, facing=turned, speed=speed, pose=pose))
    return tuple(sorted(herd, key=lambda one: one.ground))


def _pose(dice: np.random.Generator, posture: str, behaviour: str) -> Pose:
    feeding_down = posture == "lying" and behaviour == "eating"
    return Pose(
        posture=posture,
        stride=float(dice.uniform(0.14, 0.22)) if behaviour == "moving" else 0.0,
        phase=float(dice.uniform(0, 2 * math.pi)),
        head=-1.0 if feeding_down else float(dice.uniform(-0.85, 1.0)),
        tail=float(dice.uniform(-1, 1)),
        build=float(dice.uniform(0.93, 1.06)),
        tint=float(dice.uniform(0.86, 1.08)),
        variant=int(dice.integers(0, 2**31)),
    )


def in_frame(individual: Individual, frame: int, *, aspect: float) -> Individual:
    """Returns an animal as it is in a frame (0, 1, 2): moved on if it walks, head and tail turned a little if not.

    Args:
        individual: in its first frame.
        frame: number of the frame, from 0.
        aspect: width of the picture over its height.
    """
    if frame == 0:
        return individual
    dice = np.random.default_rng([individual.pose.variant, frame])
    pose = individual.pose
    down = pose.head <= -0.9
    head = pose.head if down else float(np.clip(pose.head + dice.normal(0, 0.25), -0.85, 1.0))
    moved = replace(pose, head=head, tail=float(dice.uniform(-1, 1)), phase=pose.phase - 1.9 * frame * bool(pose.stride))
    x = individual.x + individual.facing * individual.speed * individual.height * frame / aspect
    return replace(individual, x=x, pose=moved)
