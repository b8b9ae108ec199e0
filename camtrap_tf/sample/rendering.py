"""Pictures of scenes: background, animals, plants in the way, light or flash, noise, info strip. Boxes come with them."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from camtrap_tf.sample.figures import draw_figure, extent
from camtrap_tf.sample.locations import locations
from camtrap_tf.sample.scenery import FINE, HEIGHT_PX, STRIP_PX, WIDTH_PX, Scenery, nearness_of, scenery
from camtrap_tf.sample.scenes import Individual, SceneEvent, in_frame
from camtrap_tf.sample.seeds import generator
from camtrap_tf.sample.species import SPECIES
from camtrap_tf.sample.textures import TILE_PX, clouds, grain

VIEW_PX = HEIGHT_PX - STRIP_PX
"""Rows of the picture above the info strip."""

QUALITY = 85

Box = tuple[int, int, int, int]
"""x, y, width, height in px, from the top left corner."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One drawn animal, to be laid over the picture.

    Attributes:
        picture: RGBA.
        left, top: where it goes, in px; may lie outside the picture.
        eye: of the animal in the picture, in px.
        ground: row of its feet.
        height: of its back, in px.
    """

    picture: Image.Image
    left: int
    top: int
    eye: tuple[float, float]
    ground: float
    height: float

    def box(self) -> Box | None:
        """Returns the smallest box around what can be seen of it inside the view, or None if nothing can."""
        solid = self.picture.getchannel("A").point([0] * 110 + [255] * 146)
        inner = solid.getbbox()
        if inner is None:
            return None
        x0, y0 = max(0, self.left + inner[0]), max(0, self.top + inner[1])
        x1, y1 = min(WIDTH_PX, self.left + inner[2]), min(VIEW_PX, self.top + inner[3])
        return (x0, y0, x1 - x0, y1 - y0) if x1 - x0 >= 2 and y1 - y0 >= 2 else None


def figure_layer(seed: int, individual: Individual, *, night: bool) -> Layer:
    """Draws one animal.

    Args:
        seed: of the sample, for the texture of its coat.
        individual: as it is in this frame.
        night: slow shutter: one that walks is blurred more.
    """
    figure = draw_figure(SPECIES[individual.species], individual.pose)
    low_x, low_y, high_x, high_y = extent(figure.patches)
    height = individual.height * HEIGHT_PX
    scale = height * FINE
    pad = 2 + round(0.5 * individual.speed * height)
    if individual.facing < 0:
        low_x, high_x = -high_x, -low_x
    size = (
        FINE * (math.ceil((high_x - low_x) * height) + 2 * pad),
        FINE * (math.ceil((high_y - low_y) * height) + 2 * pad),
    )
    canvas = Image.new("RGBA", size)
    pencil = ImageDraw.Draw(canvas)
    factor = np.array([individual.facing * scale, -scale])
    shift = np.array([pad * FINE - low_x * scale, pad * FINE + high_y * scale])
    for patch in figure.patches:
        pencil.polygon((patch.points * factor + shift).ravel().tolist(), fill=patch.colour)
    picture = _fur(seed, canvas.reduce(FINE), individual)
    if individual.speed:
        picture = _smeared(picture, round(individual.speed * height * (0.14 if night else 0.10)))
    left = individual.x * WIDTH_PX + low_x * height - pad
    top = individual.ground * HEIGHT_PX - high_y * height - pad
    eye = (left + (figure.eye[0] * factor[0] + shift[0]) / FINE, top + (figure.eye[1] * factor[1] + shift[1]) / FINE)
    return Layer(picture, round(left), round(top), eye, individual.ground * HEIGHT_PX, height)


def _fur(seed: int, picture: Image.Image, individual: Individual) -> Image.Image:
    """Gives a flat drawing a rough coat that is lit from above."""
    pixels = np.asarray(picture).astype(np.float32)
    high, wide = pixels.shape[:2]
    row, column = individual.pose.variant % TILE_PX, (individual.pose.variant // TILE_PX) % TILE_PX
    noise = np.take(
        np.take(_rough(seed), np.arange(row, row + high), 0, mode="wrap"), np.arange(column, column + wide), 1, mode="wrap"
    )
    light = np.linspace(1.08, 0.86, high, dtype=np.float32)[:, None]
    pixels[..., :3] *= ((1 + 0.075 * noise) * light)[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGBA")


@lru_cache(maxsize=2)
def _rough(seed: int) -> NDArray[np.float32]:
    return clouds(seed, 0.6).astype(np.float32)


def _smeared(picture: Image.Image, distance_px: int) -> Image.Image:
    """Blurs a picture along its rows, as a walking animal is blurred."""
    if distance_px < 2:
        return picture
    premultiplied = np.asarray(picture.convert("RGBa")).astype(np.uint32)
    total = np.zeros_like(premultiplied)
    first = distance_px // 2
    for step in range(distance_px):
        offset = step - first
        source = slice(max(0, -offset), premultiplied.shape[1] - max(0, offset))
        target = slice(max(0, offset), premultiplied.shape[1] - max(0, -offset))
        total[:, target] += premultiplied[:, source]
    return Image.frombytes("RGBa", picture.size, (total // distance_px).astype(np.uint8).tobytes()).convert("RGBA")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the sample.

    Attributes:
        picture: RGB, 400 x 300.
        boxes: one per animal in the order of the event's individuals; None where nothing of it is in view.
    """

    picture: Image.Image
    boxes: tuple[Box | None, ...]

    def jpeg(self) -> bytes:
        """Returns the picture as JPEG."""
        buffer = io.BytesIO()
        self.picture.save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue()


def render(seed: int, event: SceneEvent, frame: int, *, animals: bool = True) -> Frame:
    """Draws one frame (0, 1, 2) of an event.

    Args:
        seed: of the sample.
        event: what happens.
        frame: which of its pictures.
        animals: leave out to see the same picture, shadows included, without the animals.
    """
    dice = generator(seed, "frame", event.event_id, frame)
    present = [in_frame(one, frame, aspect=WIDTH_PX / HEIGHT_PX) for one in event.individuals]
    layers = [figure_layer(seed, one, night=event.night) for one in present]
    view = scenery(seed, event.location)
    picture, nearness = view.day.copy(), view.nearness.copy()
    _compose(picture, nearness, view, layers if animals else [], shadows_of=layers, event=event, dice=dice)
    pixels = _night(seed, picture, nearness, event) if event.night else _daylight(seed, picture, event)
    window = dice.integers(0, 64, 2)
    noise = grain(seed, HEIGHT_PX, WIDTH_PX)[window[0] : window[0] + HEIGHT_PX, window[1] : window[1] + WIDTH_PX]
    strength = _noise_strength(seed, event)
    pixels = pixels + (noise * strength)[..., None] if pixels.ndim == 3 else pixels + noise * strength
    done = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGB")
    _info_strip(done, event, frame, name=locations(seed)[event.location].name)
    return Frame(done, tuple(layer.box() for layer in layers))


def _compose(
    picture: Image.Image,
    nearness: Image.Image,
    view: Scenery,
    layers: list[Layer],
    *,
    shadows_of: list[Layer],
    event: SceneEvent,
    dice: np.random.Generator,
) -> None:
    """Lays shadows, animals and plants over the background, far to near; plants sway."""
    if not event.night:
        for layer in shadows_of:
            _shadow(picture, layer, event)
    wind = dice.normal(0, 1.3, len(view.sprites))
    things: list[tuple[float, Image.Image, int, int, int, Layer | None]] = [
        (layer.ground, layer.picture, layer.left, layer.top, nearness_of(layer.ground, view.horizon), layer) for layer in layers
    ]
    things += [
        (sprite.ground, sprite.picture, sprite.left + round(float(sway)) * (sprite.top > 0), sprite.top, sprite.nearness, None)
        for sprite, sway in zip(view.sprites, wind, strict=True)
    ]
    for _, thing, left, top, light, animal in sorted(things, key=lambda one: one[0]):
        picture.paste(thing, (left, top), thing)
        if event.night:
            nearness.paste(light, (left, top), thing.getchannel("A"))
            if animal is not None:
                _eye_shine(picture, nearness, animal)


def _eye_shine(picture: Image.Image, nearness: Image.Image, animal: Layer) -> None:
    """Lets an eye throw the flash back, however far away it is."""
    radius = max(1.0, 0.016 * animal.height)
    x, y = animal.eye
    place = [x - radius, y - radius, x + radius, y + radius]
    ImageDraw.Draw(picture).ellipse(place, fill=(255, 255, 255))
    ImageDraw.Draw(nearness).ellipse(place, fill=255)


def _shadow(picture: Image.Image, layer: Layer, event: SceneEvent) -> None:
    """Darkens the ground under an animal, to the side that the sun is not on."""
    inner = layer.picture.getchannel("A").getbbox()
    if inner is None:
        return
    wide, high = max(4, inner[2] - inner[0]), max(3, round(0.10 * layer.height))
    mask = Image.new("L", (wide + 8, high + 8))
    ImageDraw.Draw(mask).ellipse([4, 4, wide + 4, high + 4], fill=105)
    hour = event.time.hour + event.time.minute / 60
    lean = round((12.5 - hour) / 6.5 * 0.25 * layer.height)
    mask = mask.filter(ImageFilter.BoxBlur(2))
    picture.paste((22, 20, 16), (layer.left + inner[0] - 4 - lean, round(layer.ground - 0.6 * high) - 4), mask)


def _daylight(seed: int, picture: Image.Image, event: SceneEvent) -> NDArray[np.float32]:
    """Returns the picture in the light of its hour: warm and dim in the morning and evening, white at noon, or overcast."""
    dice = generator(seed, "light", event.event_id)
    hour = event.time.hour + event.time.minute / 60
    low_sun = min(1.0, abs(hour - 12.5) / 6.5) ** 2
    overcast = dice.random() < 0.25
    warm = 0.0 if overcast else 0.20 * low_sun
    gain = (1.0 - 0.30 * low_sun) * dice.uniform(0.88, 1.12)
    factors = np.array([1 + 0.6 * warm, 1 - 0.05 * warm, 1 - warm], np.float32) * np.float32(gain)
    contrast = np.float32(0.78 if overcast else dice.uniform(0.92, 1.12))
    curve = (np.arange(256, dtype=np.float32)[None] - 118) * contrast + 118
    table = np.clip(curve * factors[:, None], 0, 255).astype(np.uint8)
    return np.asarray(picture.point(table.ravel().tolist())).astype(np.float32)


def _night(seed: int, picture: Image.Image, nearness: Image.Image, event: SceneEvent) -> NDArray[np.float32]:
    """Returns the grey picture of an infrared flash: near things bright, far ones dark."""
    dice = generator(seed, "light", event.event_id)
    grey = np.asarray(picture.convert("L", matrix=(0.22, 0.62, 0.16, 0))).astype(np.float32)
    flash = np.asarray(nearness).astype(np.float32) / 255
    strength = dice.uniform(0.85, 1.25)
    pixels = 5 + grey * (0.05 + strength * flash * _beam())
    return np.asarray(pixels, np.float32)


@lru_cache(maxsize=1)
def _beam() -> NDArray[np.float32]:
    """Returns how the flash falls off from the middle of the picture to its corners, in [0, 1]."""
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    distance = np.hypot((x - WIDTH_PX / 2) / WIDTH_PX, (y - 0.6 * HEIGHT_PX) / HEIGHT_PX * 0.7)
    return np.asarray(np.clip(1.18 - 1.25 * distance**1.6, 0.15, 1.1), np.float32)


def _noise_strength(seed: int, event: SceneEvent) -> np.float32:
    """Returns the factor on the grain: strong at night, weak at noon."""
    dice = generator(seed, "noise", event.event_id)
    return np.float32(dice.uniform(0.45, 0.85) if event.night else dice.uniform(0.12, 0.38))


@lru_cache(maxsize=2)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _info_strip(picture: Image.Image, event: SceneEvent, frame: int, *, name: str) -> None:
    """Burns in what cameras burn in: site, temperature, time, number of the frame."""
    pencil = ImageDraw.Draw(picture)
    pencil.rectangle([0, VIEW_PX, WIDTH_PX, HEIGHT_PX], fill=(12, 12, 12))
    hour = event.time.hour + event.time.minute / 60
    degrees = round(21 - 7 * math.cos((hour - 3) / 12 * math.pi) + (event.time.day % 5) - 2)
    text = (
        f"{name}   {degrees} C   {event.frame_time(frame):%Y-%m-%d  %H:%M:%S}   {frame + 1}/3   {'IR' if event.night else ''}"
    )
    pencil.text((6, VIEW_PX + 2), text, font=_font(12), fill=(232, 232, 232))
