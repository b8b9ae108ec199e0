"""What a camera sees when nobody is there: sky, hills, ground, trees, rocks, and the plants that stand in the way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from camtrap_tf.sample.locations import HABITAT_COLOURS, Location, locations
from camtrap_tf.sample.seeds import generator
from camtrap_tf.sample.shapes import Points, tube
from camtrap_tf.sample.species import Colour
from camtrap_tf.sample.textures import TILE_PX, clouds, sampled

WIDTH_PX, HEIGHT_PX = 400, 300
STRIP_PX = 18
"""Height of the info strip at the bottom."""

FINE = 2
"""Scenery is drawn this many times larger and shrunk, which smooths its edges."""


@dataclass(frozen=True, slots=True)
class Sprite:
    """A plant that can stand before an animal.

    Attributes:
        picture: RGBA.
        left, top: where it goes, in px.
        ground: row of its foot; whatever stands above that row is behind it.
        nearness: how much of the flash it gets, in 0 … 255.
    """

    picture: Image.Image
    left: int
    top: int
    ground: float
    nearness: int


@dataclass(frozen=True, slots=True)
class Scenery:
    """A camera's empty view.

    Attributes:
        day: RGB view in even light.
        nearness: `L`: how much of the flash each pixel gets at night.
        sprites: plants in the way, far to near.
        horizon: its row.
    """

    day: Image.Image
    nearness: Image.Image
    sprites: tuple[Sprite, ...]
    horizon: float


def nearness_of(ground: float, horizon: float) -> int:
    """Returns how much of the flash something gets that stands on a row of the picture, in 0 … 255."""
    depth = max(ground - horizon, 1.0)
    return round(255 * min(1.0, math.pow(depth / 125.0, 1.15)))


@lru_cache(maxsize=4)
def scenery(seed: int, index: int) -> Scenery:
    """Returns the empty view of a camera site; drawn once and kept.

    Args:
        seed: of the sample.
        index: of the location.
    """
    painter = _Painter(seed, locations(seed)[index])
    painter.sky()
    painter.hills()
    painter.ground()
    painter.habitat()
    size = (WIDTH_PX, HEIGHT_PX)
    return Scenery(
        painter.day.resize(size, Image.Resampling.BOX),
        painter.nearness.resize(size, Image.Resampling.BOX),
        tuple(sorted(painter.sprites(), key=lambda sprite: sprite.ground)),
        painter.horizon / FINE,
    )


class _Painter:
    """Draws one location, far things first, in colour and as nearness to the flash."""

    def __init__(self, seed: int, location: Location) -> None:
        self.location = location
        self.dice = generator(seed, "scenery", location.index)
        self.noise = clouds(seed, 1.0)
        self.soft = clouds(seed, 1.7)
        self.width, self.height = WIDTH_PX * FINE, HEIGHT_PX * FINE
        self.horizon = location.horizon * self.height
        self.offset = self.dice.integers(0, TILE_PX, 2)
        self.far, self.near, self.leaf = (self._hued(colour) for colour in HABITAT_COLOURS[location.habitat])
        self.day = Image.new("RGB", (self.width, self.height))
        self.nearness = Image.new("L", (self.width, self.height))
        self.pencil = ImageDraw.Draw(self.day)
        self.light = ImageDraw.Draw(self.nearness)

    def _hued(self, colour: Colour) -> Colour:
        red, green, blue = (min(255, round(part * factor)) for part, factor in zip(colour, self.location.hue, strict=True))
        return (red, green, blue)

    def _varied(self, colour: Colour, spread: float = 0.12, shade: float = 1.0) -> Colour:
        factor = shade * (1 + self.dice.normal(0, spread))
        red, green, blue = (int(min(255, max(0, part * factor))) for part in colour)
        return (red, green, blue)

    def _paint(self, points: Points, colour: Colour, ground: float) -> None:
        flat = points.ravel().tolist()
        self.pencil.polygon(flat, fill=colour)
        self.light.polygon(flat, fill=nearness_of(ground / FINE, self.horizon / FINE))

    def _blob(self, x: float, y: float, width: float, height: float, colour: Colour, ground: float) -> None:
        box = [x - width, y - height, x + width, y + height]
        self.pencil.ellipse(box, fill=colour)
        self.light.ellipse(box, fill=nearness_of(ground / FINE, self.horizon / FINE))

    def sky(self) -> None:
        """Fills the part above the horizon: blue to pale, with clouds."""
        rows = int(self.horizon) + 2
        part = np.linspace(0, 1, rows)[:, None, None]
        top = np.array([112, 154, 204]) * self.dice.uniform(0.9, 1.1)
        low = np.array([206, 216, 222]) * self.dice.uniform(0.95, 1.05)
        sky = top * (1 - part) + low * part
        v, u = np.mgrid[0:rows, 0 : self.width]
        cloud = sampled(self.soft, u * 0.3 + self.offset[0], v * 0.8 + self.offset[1])
        cover = np.clip((cloud - self.dice.uniform(0.0, 1.2)) * 0.45, 0, 0.85)[..., None]
        sky = sky * (1 - cover) + np.array([238, 240, 242]) * cover
        self.day.paste(Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8)), (0, 0))

    def hills(self) -> None:
        """Draws one to three ridges and a far line of trees along the horizon."""
        x = np.arange(0, self.width + 8, 8)
        for order in range(int(self.dice.integers(1, 4))):
            steps = self.dice.normal(size=5)
            waves = sum(a * np.sin(x / self.width * math.pi * (k + 1) * 1.3 + 7 * a) / (k + 1) for k, a in enumerate(steps))
            ridge = self.horizon - (26 - 9 * order) - 13 * np.asarray(waves)
            haze = np.array([150, 164, 176]) * (0.55 - 0.17 * order) + np.array(self.leaf) * (0.45 + 0.17 * order)
            outline = np.concatenate(
                [np.stack([x, np.minimum(ridge, self.horizon)], 1), [[self.width, self.horizon + 4], [0, self.horizon + 4]]]
            )
            self.pencil.polygon(outline.ravel().tolist(), fill=tuple(haze.astype(int).tolist()))
        for _ in range(int(self.dice.integers(20, 80))):
            size = self.dice.uniform(3, 11)
            self._blob(
                self.dice.uniform(0, self.width),
                self.horizon - 0.4 * size,
                1.8 * size,
                size,
                self._varied(self.leaf, 0.1, 0.8),
                self.horizon,
            )

    def ground(self) -> None:
        """Fills the part below the horizon with soil or grass whose grain grows towards the camera."""
        first = int(self.horizon)
        v, u = np.mgrid[first : self.height, 0 : self.width]
        depth = (v - self.horizon + 8).astype(float)
        far_away = 5200.0 / depth
        across = (u - self.width / 2) * far_away / 90.0
        rough = sampled(self.noise, across + self.offset[0], far_away * 9 + self.offset[1])
        large = sampled(self.soft, across * 0.21 + self.offset[1], far_away * 1.7 + self.offset[0])
        part = np.clip(depth / (self.height - self.horizon), 0, 1)[..., None]
        base = np.array(self.far) * (1 - part) + np.array(self.near) * part
        patch = np.clip(0.5 + 0.4 * large, 0, 1)[..., None]
        mixed = base * (1 - 0.28 * patch) + np.array(self.leaf) * 0.28 * patch
        soil = mixed * (1 + (0.04 + 0.07 * part[..., 0]) * rough)[..., None]
        self.day.paste(Image.fromarray(np.clip(soil, 0, 255).astype(np.uint8)), (0, first))
        light = np.clip((depth / FINE / 125.0) ** 1.15, 0, 1) * (1 + 0.05 * rough)
        self.nearness.paste(Image.fromarray(np.clip(light * 255, 0, 255).astype(np.uint8)), (0, first))

    def habitat(self) -> None:
        """Draws what stands on the ground behind the animals, far to near."""
        habitat = self.location.habitat
        plants = {
            "savannah": (4, 6),
            "plain": (1, 3),
            "woodland": (13, 10),
            "kopje": (3, 6),
            "riverbed": (5, 8),
            "thicket": (5, 22),
        }
        trees, bushes = plants[habitat]
        rocks = {"kopje": 15, "riverbed": 7}.get(habitat, int(self.dice.integers(0, 4)))
        things = (
            [("tree", 0.24)] * (trees + int(self.dice.integers(0, 3))) + [("bush", 0.35)] * bushes + [("rock", 0.6)] * rocks
        )
        reach = self.height - self.horizon
        placed = [(self.horizon + 3 + reach * limit * self.dice.beta(1.1, 2.2), kind) for kind, limit in things]
        tufts = {"savannah": 420, "plain": 520, "woodland": 220, "kopje": 170, "riverbed": 90, "thicket": 330}[habitat]
        placed += [(self.horizon + 4 + reach * self.dice.beta(1.0, 1.25), "tuft") for _ in range(tufts)]
        if habitat == "riverbed":
            self._water()
        for ground, kind in sorted(placed):
            getattr(self, f"_{kind}")(self.dice.uniform(-10, self.width + 10), ground)

    def _water(self) -> None:
        y = self.horizon + self.dice.uniform(0.06, 0.14) * self.height
        x = np.linspace(-20, self.width + 20, 14)
        wave = 6 * np.sin(x / self.dice.uniform(60, 110))
        band = np.concatenate([np.stack([x, y + wave], 1), np.stack([x, y + 20 + 1.4 * wave], 1)[::-1]])
        self._paint(band, (132, 150, 158), y)

    def _tree(self, x: float, ground: float) -> None:
        size = 40 + 1.75 * (ground - self.horizon)
        bark = self._varied((92, 74, 56), 0.15)
        lean = self.dice.normal(0, 0.08) * size
        flat = self.location.habitat in {"savannah", "plain", "kopje"}
        tall = size * self.dice.uniform(1.5, 2.1) if not flat else size * self.dice.uniform(1.3, 1.7)
        trunk = tube(
            [(x, ground), (x + 0.4 * lean, ground - 0.5 * tall), (x + lean, ground - tall)],
            (0.09 * size, 0.06 * size, 0.03 * size),
        )
        self._paint(trunk.outline(), bark, ground)
        for side in (-1, 1):
            start = trunk.at(0.6, 0.0)[0]
            branch = tube([start, start + np.array([side * 0.3 * size, -0.4 * size])], (0.035 * size, 0.015 * size))
            self._paint(branch.outline(), bark, ground)
        wide, high = (1.1, 0.17) if flat else (0.62, 0.42)
        for _ in range(26):
            dx, dy = self.dice.normal(0, 0.42 * wide * size), self.dice.normal(0, 0.4 * high * size)
            radius = size * self.dice.uniform(0.10, 0.22)
            shade = 1.0 - 0.25 * (dy > 0) + 0.12 * (dy < -0.2 * high * size)
            self._blob(
                x + lean + dx,
                ground - tall + dy,
                1.3 * radius,
                radius * (0.55 if flat else 0.9),
                self._varied(self.leaf, 0.08, shade),
                ground,
            )

    def _bush(self, x: float, ground: float) -> None:
        size = 10 + 0.42 * (ground - self.horizon)
        for layer in range(16):
            dx, dy = self.dice.normal(0, 0.8 * size), -abs(self.dice.normal(0.3, 0.45)) * size
            shade = 0.72 + 0.022 * layer
            radius = size * self.dice.uniform(0.25, 0.5)
            self._blob(x + dx, ground + dy - 0.2 * size, 1.2 * radius, radius, self._varied(self.leaf, 0.08, shade), ground)

    def _rock(self, x: float, ground: float) -> None:
        size = (6 + 0.30 * (ground - self.horizon)) * self.dice.uniform(0.5, 1.6)
        angles = np.sort(self.dice.uniform(0, 2 * math.pi, 11))
        edge = self.dice.uniform(0.8, 1.1, 11)[:, None] * np.stack([1.3 * np.cos(angles), 0.75 * np.sin(angles)], 1)
        centre = np.array([x, ground - 0.45 * size])
        grey = self._varied(self._hued((142, 132, 122)), 0.1)
        self._paint(centre + size * edge, self._varied(grey, 0.02, 0.72), ground)
        self._paint(centre + size * (0.8 * edge + np.array([-0.08, -0.14])), grey, ground)
        self._paint(centre + size * (0.45 * edge + np.array([-0.2, -0.26])), self._varied(grey, 0.02, 1.14), ground)

    def _tuft(self, x: float, ground: float) -> None:
        size = 3 + 0.085 * (ground - self.horizon)
        colour = self._varied(self.leaf if self.dice.random() < 0.45 else self.near, 0.12)
        bright = nearness_of(ground / FINE, self.horizon / FINE)
        for _ in range(4):
            end = (x + self.dice.normal(0, 0.5 * size), ground - size * self.dice.uniform(0.6, 1.3))
            self.pencil.line([(x, ground), end], fill=colour, width=1)
            self.light.line([(x, ground), end], fill=bright, width=1)

    def sprites(self) -> list[Sprite]:
        """Draws the plants that may stand before an animal: grass, branches, saplings."""
        found = []
        grass = {"savannah": 7, "plain": 6, "woodland": 4, "kopje": 3, "riverbed": 3, "thicket": 4}[self.location.habitat]
        for _ in range(grass):
            ground = self.horizon / FINE + self.dice.uniform(0.35, 1.15) * (HEIGHT_PX - STRIP_PX - self.horizon / FINE)
            found.append(self._clump(self.dice.uniform(0, WIDTH_PX), ground, leafy=False))
        for _ in range({"thicket": 3, "woodland": 2, "riverbed": 1}.get(self.location.habitat, int(self.dice.integers(0, 2)))):
            ground = self.horizon / FINE + self.dice.uniform(0.45, 1.0) * (HEIGHT_PX - STRIP_PX - self.horizon / FINE)
            found.append(self._clump(self.dice.uniform(0, WIDTH_PX), ground, leafy=True))
        if self.location.habitat in {"woodland", "thicket"}:
            found.append(self._trunk())
        return found

    def _clump(self, x: float, ground: float, *, leafy: bool) -> Sprite:
        depth = ground - self.horizon / FINE
        high = (10 + 0.20 * depth) * self.dice.uniform(0.8, 1.5) * (1.3 if leafy else 1.0)
        wide = high * self.dice.uniform(1.0, 1.9)
        box = (int(2 * wide) + 12, int(1.5 * high) + 8)
        canvas = Image.new("RGBA", (box[0] * FINE, box[1] * FINE))
        pencil = ImageDraw.Draw(canvas)
        foot_y = box[1] * FINE - 4
        for _ in range(int((22 if leafy else 34) + 0.8 * wide)):
            foot = box[0] + float(self.dice.normal(0, 0.36 * wide)) * FINE
            tip = foot + float(self.dice.normal(0, 0.4 * high)) * FINE
            top = foot_y - high * FINE * float(self.dice.uniform(0.45, 1.25))
            colour = self._varied(self.leaf if leafy or self.dice.random() < 0.5 else self.near, 0.16, 0.94)
            low = foot_y - float(self.dice.uniform(0, 0.16 * high)) * FINE
            blade = tube([(foot, low), (0.65 * foot + 0.35 * tip, 0.5 * (low + top)), (tip, top)], (1.5, 1.3, 0.4))
            pencil.polygon(blade.outline().ravel().tolist(), fill=(*colour, 255))
            if leafy:
                for u in self.dice.uniform(0.3, 1.0, 5):
                    px, py = blade.at(float(u), 0.0)[0]
                    pencil.ellipse([px - 5, py - 3, px + 5, py + 3], fill=(*self._varied(colour, 0.1), 255))
        picture = canvas.reduce(FINE)
        return Sprite(picture, int(x - box[0] / 2), int(ground - box[1] + 2), ground, nearness_of(ground, self.horizon / FINE))

    def _trunk(self) -> Sprite:
        """A tree close by at one side of the view."""
        side = self.dice.random() < 0.5
        x = self.dice.uniform(2, 46) if side else WIDTH_PX - self.dice.uniform(2, 46)
        ground = HEIGHT_PX - STRIP_PX - self.dice.uniform(4, 50)
        wide = int(self.dice.uniform(9, 17))
        canvas = Image.new("RGBA", (4 * wide * FINE, int(ground) * FINE))
        pencil = ImageDraw.Draw(canvas)
        centre, bottom = 2.0 * wide * FINE, ground * FINE
        trunk = tube(
            [(centre, bottom), (centre + self.dice.normal(0, 6), 0.5 * bottom), (centre + self.dice.normal(0, 12), -9)],
            (wide * 2.4, wide * 1.9, wide * 1.8),
        )
        bark = self._varied((84, 68, 54), 0.15)
        pencil.polygon(trunk.outline().ravel().tolist(), fill=(*bark, 255))
        for _ in range(60):
            u, v = self.dice.uniform(0, 1), self.dice.uniform(-0.9, 0.9)
            line = trunk.at(np.array([u, u + 0.05]), np.array([v, v + 0.05]))
            pencil.line(
                [tuple(point) for point in line.tolist()], fill=(*self._varied(bark, 0.1, 0.82 - 0.2 * v), 255), width=2
            )
        return Sprite(canvas.reduce(FINE), int(x - 2 * wide), 0, ground, nearness_of(ground, self.horizon / FINE))
